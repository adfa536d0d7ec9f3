import threading
from typing import Any

import pytest

from activities.doors import Doors
from activities.isolation.isolate import IsolateActivities
from activities.isolation.verify import VerifyActivities
from activities.restore import RestoreActivities
from contracts.activities import RestoreRequest, VerifyRequest
from contracts.common import PodTarget
from contracts.names import QUARANTINE_POLICY
from contracts.states import Containment
from devstack.kube import KubeApi
from tests.isolation.support import incident, inline, make_pods, make_policy, marks, policy, run
from tests.isolation.test_isolate import ALLOW, STEP, request, selector_change

pytestmark = pytest.mark.stack


def test_incidents_that_come_and_go_never_lose_each_others_policies(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    # The last release deletes the deny-all policy while the next incident counts on it. Each has a lock of its own
    # kind here: threads of one worker, and the versions of the API server.
    targets = make_pods(admin, namespace, 8)
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    proofs: list[Any] = []
    broken: list[BaseException] = []

    def come_and_go(number: int, target: PodTarget) -> None:
        try:
            for turn in range(3):
                key = incident(f"{namespace}-{number}-{turn}")
                asked = request(key, inline(target), change)
                assert run(IsolateActivities(doors).isolate_pods, asked).failures == ()
                seen = VerifyRequest(incident=key, step=STEP, pods=asked.pods, changes=asked.changes)
                proofs.append(run(verification.verify_containment, seen))
                release = RestoreRequest(incident=key, pods=asked.pods, changes=asked.changes)
                assert run(RestoreActivities(doors).restore_changes, release).failures == ()
        except BaseException as error:
            broken.append(error)
            raise

    threads = [threading.Thread(target=come_and_go, args=(i, t)) for i, t in enumerate(targets)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    assert len(proofs) == 24
    assert [p.reasons for p in proofs if p.containment is not Containment.VERIFIED] == []
    assert all(marks(admin, t) == (False, False, []) for t in targets)
    # Whoever is last finds nobody left, or the pods of those who come after.
    assert policy(admin, namespace, QUARANTINE_POLICY) is None
    assert (policy(admin, namespace, "allow-web") or {})["spec"] == ALLOW
