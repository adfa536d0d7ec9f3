"""A step, and its release, whose workers die after every single change: each lives for one and does not learn of it.

The step takes anonymous users out of three bindings. Each of these is a record, an edit, and a note of what was left,
so nine workers die; and three more over the first binding while the incident, long closed, is released.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from contracts.incidents import IncidentView
from contracts.names import HELD_LABEL
from contracts.states import Containment, IncidentState
from devstack.kube import KubeApi
from tests.assess.support import raw_finding
from tests.e2e.conftest import NewWorld
from tests.e2e.incident import Incident, step_state
from tests.e2e.processes import WorkerProcess, Zygote, command_line
from tests.e2e.relay import Call, kubeconfig_through, relay_of_cluster
from tests.e2e.test_configuration import ANONYMOUS, EVERYBODY, NOBODY, OTHER, RBAC
from tests.e2e.workloads import Json
from tests.e2e.world import World

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

SUBJECTS = [NOBODY, OTHER, EVERYBODY]
STEP = "configuration.unbind_anonymous"


class OneChangeALife:
    """Hooks for a relay: a worker dies when a binding or its record was changed, as often as deaths are `due`."""

    def __init__(self, start: Callable[[], WorkerProcess]) -> None:
        self._start = start
        self._lock = threading.RLock()
        # Before and after a call, the relay asks from one thread: a call of a dead worker is known by its life.
        self._thread = threading.local()
        self._life = 0
        self.due = 0
        self.deaths: list[str] = []
        self.worker = start()

    def before(self, call: Call) -> bool:
        """Every call reaches the server; which worker it comes from is kept."""
        with self._lock:
            self._thread.life = self._life
            return True

    def after(self, call: Call) -> bool:
        """Whether the answer reaches the worker."""
        with self._lock:
            if self._thread.life != self._life:
                return False
            if not (self.due and call.made and _counts(call)):
                return True
            self.worker.kill()
            self.due -= 1
            self._life += 1
            self.deaths.append(_words(call))
            self.worker = self._start()
            return False

    def end(self) -> None:
        """End the last worker."""
        with self._lock:
            self.worker.kill()


def _counts(call: Call) -> bool:
    return "bindings/" in call.path or "/configmaps/held-" in call.path or call.path.endswith("/firebreak/configmaps")


def _words(call: Call) -> str:
    """`PATCH rolebindings/name`, `PUT configmaps/held`: the last two words of the path, without a record's hash."""
    return f"{call.method} {re.sub('held-[0-9a-f]+', 'held', '/'.join(call.path.split('/')[-2:]))}"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Starts workers whose deaths are noticed quickly."""
    made = Zygote(tmp_path_factory.mktemp("impatient"), "tests.e2e.impatient")
    yield made
    made.close()


@pytest.fixture
def bindings(admin: KubeApi, namespace: str) -> Iterator[list[str]]:
    """Two bindings of the cluster and one of a namespace, which let anonymous users in."""
    name = f"open-{uuid.uuid4().hex[:8]}"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    where = [("clusterrolebindings", f"{name}-1"), ("clusterrolebindings", f"{name}-2")]
    places = [*where, (f"namespaces/{namespace}/rolebindings", f"{name}-3")]
    for place, called in places:
        body = {"metadata": {"name": called}, "roleRef": role, "subjects": SUBJECTS}
        admin.request("POST", f"{RBAC}/{place}", body)
    yield [f"{RBAC}/{place}/{called}" for place, called in places]
    for place, called in places:
        admin.request("DELETE", f"{RBAC}/{place}/{called}")


@asynccontextmanager
async def looked_after(world: World, zygote: Zygote, folder: Path) -> AsyncIterator[OneChangeALife]:
    """The world's workers, which reach the cluster through the relay with both of their identities."""
    with ExitStack() as ends:
        relay = ends.enter_context(relay_of_cluster(world.stack.kubeconfig))
        environment = world.environment()
        for key in ("KUBECONFIG", "FIREBREAK_BINDINGS_KUBECONFIG"):
            place = folder / key
            place.mkdir()
            environment[key] = str(kubeconfig_through(relay, Path(environment[key]), place))
        blade = OneChangeALife(lambda: zygote.start(environment))
        ends.callback(blade.end)
        relay.before, relay.after = blade.before, blade.after
        yield blade


def records(admin: KubeApi, incident: Incident) -> list[Json]:
    """The records of the changes that the incident holds."""
    query = {"labelSelector": f"{HELD_LABEL}=true"}
    found = admin.request("GET", "/api/v1/namespaces/firebreak/configmaps", query=query)["items"]
    return [r["data"] for r in found if incident.id in r["data"]["incidents"]]


def subjects(admin: KubeApi, bindings: list[str]) -> list[list[Json]]:
    """Whom each binding binds."""
    return [admin.request("GET", path)["subjects"] for path in bindings]


def summary(view: IncidentView) -> list[tuple[str, str, bool]]:
    """Who decided what."""
    return [(d.by, d.decision, d.counted) for g in view.gates for d in g.decisions]


async def test_a_worker_for_each_change(
    new_world: NewWorld, impatient: Zygote, admin: KubeApi, bindings: list[str], tmp_path: Path
) -> None:
    world = await new_world()
    async with looked_after(world, impatient, tmp_path) as blade:
        raw = raw_finding(
            uuid.uuid4().hex, finding_type="Policy:Kubernetes/AnonymousAccessGranted", user=ANONYMOUS, severity=5
        )
        world.publish(raw)
        incident = await world.start(raw)
        gate = await incident.waiting("contain")
        blade.due = 9
        assert (await incident.decide(incident.decision(gate))).accepted

        view = await incident.result()
        names = ["/".join(path.split("/")[-2:]) for path in bindings]
        life = ["POST firebreak/configmaps", "PATCH {}", "PUT configmaps/held"]
        assert blade.deaths == [change.format(name) for name in names for change in life]
        assert view.state is IncidentState.REMEDIATED, view
        assert view.containment is Containment.VERIFIED
        assert not view.failures
        assert summary(view) == [("ada", "approve", True)]
        assert step_state(view, STEP) == "done"
        assert len(view.changes) == 3
        assert subjects(admin, bindings) == [[OTHER]] * 3
        held = records(admin, incident)
        assert [json.loads(r["incidents"]) for r in held] == [[incident.id]] * 3
        assert sorted(json.loads(r["resource"])["name"] for r in held) == [n.split("/")[1] for n in names]

        # The incident is closed; what it changed is undone from its result alone.
        blade.deaths.clear()
        blade.due = 3
        order = ["release", incident.id, "--reason", "false alarm", "--json"]
        ended = await asyncio.to_thread(command_line, order, world.environment())
        assert ended.returncode == 0, ended.stderr
        told = json.loads(ended.stdout)
        assert (sorted(told["undone"]), told["kept"], told["failures"]) == (
            sorted(c.key for c in view.changes),
            [],
            [],
        )
        life = ["PUT configmaps/held", "PATCH {}", "DELETE configmaps/held"]
        assert blade.deaths == [change.format(names[-1]) for change in life]
        assert subjects(admin, bindings) == [SUBJECTS] * 3
        assert records(admin, incident) == []

        # Once more there is nothing to do, and nobody dies of it.
        blade.deaths.clear()
        blade.due = 1
        again = await asyncio.to_thread(command_line, order, world.environment())
        assert again.returncode == 0, again.stderr
        assert blade.deaths == []
        assert subjects(admin, bindings) == [SUBJECTS] * 3
