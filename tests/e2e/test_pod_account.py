"""Somebody in a pod has its account: rotated without any user in the finding, for pods of an image too (P5, I3)."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.states import Containment, IncidentState
from devstack.kube import KubeApi
from tests.accounts.support import account, bound_token, honoured, make_account
from tests.e2e.incident import eventually, step_state
from tests.e2e.targets import NAME, contained, deployed, uids
from tests.e2e.test_image import accusation, deployment, elsewhere
from tests.e2e.test_user_account import kinds
from tests.e2e.workloads import Json
from tests.e2e.world import World
from tests.secrets.support import account_subject, allow, certificate, issue, make_certificate, marked

__all__ = ["elsewhere", "kinds"]

pytestmark = [pytest.mark.stack]

BAD, FIXED = (f"registry.example/app@sha256:{digit * 64}" for digit in "ab")


def uid_of(admin: KubeApi, namespace: str) -> str:
    return str(account(admin, namespace, "spy")["metadata"]["uid"])


def spying(admin: KubeApi, world: World) -> Json:
    """An account that may read the Secrets of its namespace."""
    made = make_account(admin, world.namespace, "spy")
    allow(admin, world.namespace, account_subject(world.namespace, "spy"), verbs=("get", "list"))
    return made


async def test_whoever_is_in_a_pod_loses_its_account_and_what_it_could_read(
    world: World, admin: KubeApi, kinds: None
) -> None:
    first = spying(admin, world)["metadata"]["uid"]
    make_certificate(admin, world.namespace, "web")
    accused = await deployed(world, "Deployment", pod={"serviceAccountName": "spy"})
    old, held = bound_token(admin, world.namespace, "spy"), uids(world.pods(NAME))
    incident = await contained(world, accused)
    view = await incident.until(lambda v: "pod.rotate_secrets" in v.previews, "the approver sees what would change")
    assert view.plan is not None and {p.value for p in view.plan.paths} == {"pod"}
    assert "spy" in " ".join(view.previews["pod.recreate_account"])
    assert uid_of(admin, world.namespace) == first and honoured(admin, old), "nothing is done yet"

    await incident.approve("credentials")
    await eventually(lambda: marked(certificate(admin, world.namespace, "web")), "the certificate is marked")
    issue(admin, world.namespace, "web")
    await incident.until(lambda v: step_state(v, "pod.rotate_secrets") == "done", "the secrets are rotated")
    second = uid_of(admin, world.namespace)
    assert second != first
    await eventually(lambda: not honoured(admin, old), "the old token is refused")
    assert uids(world.pods(NAME)) == held, "what is held keeps its dead token"

    await incident.approve("eradicate")
    ended = await incident.result()
    assert (ended.state, ended.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED), ended.failures
    assert uid_of(admin, world.namespace) not in (first, second), "once more when the pods are gone"
    assert certificate(admin, world.namespace, "web")["status"]["revision"] == 4, "the secrets only once"
    assert uids(await world.ready(NAME, 2)).isdisjoint(held)


async def test_pods_of_an_image_lose_their_accounts_wherever_they_run(
    world: World, elsewhere: World, admin: KubeApi
) -> None:
    first = spying(admin, elsewhere)["metadata"]["uid"]
    accused = world.create(deployment("web", BAD, replicas=1))
    job: dict[str, Any] = deployment("batch", BAD, replicas=1)
    job["spec"]["template"]["spec"]["serviceAccountName"] = "spy"
    elsewhere.create(job)
    await world.ready("web", 1)
    await elsewhere.ready("batch", 1)
    incident = await world.start(accusation(world, accused, BAD))
    await incident.contained()
    await incident.approve("credentials")
    await incident.until(lambda v: step_state(v, "image.recreate_account") == "done", "the account is another one")
    second = uid_of(admin, elsewhere.namespace)
    assert second != first
    view = await incident.view()
    assert "pod.recreate_account" not in {s.step for s in view.steps}, (
        "the account of the other pods is bound to nothing"
    )

    await incident.approve("eradicate", image=FIXED)
    await incident.until(lambda v: step_state(v, "image.delete_pods") == "done", "the pods are deleted")
    await eventually(lambda: uid_of(admin, elsewhere.namespace) != second, "the account is recreated once more")
    view = await incident.release()
    assert view.state is IncidentState.RELEASED
    assert uid_of(admin, elsewhere.namespace) not in (first, second)
    assert not world.marks() and not elsewhere.marks()
