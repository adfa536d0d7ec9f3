"""Nothing lost: the worker is killed before and after every change of the main job, and the job comes out alike.

First the job runs undisturbed, which says how many changes it makes of the cluster and of the evidence. Then it runs
once for each of them, all at the same time, each in a world with a worker of its own, which is killed there twice.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.demo.finding import finding_about
from contracts.incidents import DecisionAnswer, IncidentView
from contracts.names import CONTROL_CONFIGMAP
from contracts.states import IncidentState
from devstack.demo_workload import CLEAN_IMAGE, NAME, deploy_demo_workload
from devstack.kube import KubeApi, KubeError
from evidence.manifest import read_manifests
from evidence.replay import replay_manifest
from evidence.verify import verify
from tests.e2e.conftest import NewWorld
from tests.e2e.guillotine import Guillotine
from tests.e2e.incident import Incident, eventually, key_of
from tests.e2e.processes import Zygote
from tests.e2e.relay import Call, Relay, kubeconfig_through, relay_of_cluster
from tests.e2e.workloads import images_of
from tests.e2e.world import World

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

_AT_ONCE = 16
_LONG = 600.0
"""Seconds until a job must be done: two deaths, each found only when a heartbeat fails to come for up to a minute."""


@dataclass(frozen=True)
class Outcome:
    """What a job left behind, without what differs from run to run: uids, times, generated names."""

    state: IncidentState
    steps: tuple[tuple[str, str, str], ...]
    decisions: tuple[tuple[str, str, bool], ...]
    changes: tuple[tuple[str, str, str], ...]
    undone: int
    objects: tuple[tuple[str, int], ...]
    images: tuple[str, ...]
    rollouts: str
    made: tuple[tuple[str, int], ...]
    artefacts: tuple[tuple[str, int], ...]


class Job:
    """One run of the main job, with relays before the cluster and before AWS."""

    def __init__(self, world: World, zygote: Zygote, folder: Path) -> None:
        self.world = world
        self._zygote = zygote
        self._folder = folder
        self.cluster = relay_of_cluster(world.stack.kubeconfig)
        self.aws = Relay(world.stack.aws_endpoint)

    async def run(self, chosen: int = 0, store: bool = False) -> tuple[Outcome, list[str]]:
        """Run to the end; with `chosen` the worker is killed at that change of the cluster, or of the store."""
        with ExitStack() as ends:
            ends.enter_context(self.cluster)
            ends.enter_context(self.aws)
            kubeconfig = kubeconfig_through(self.cluster, self.world.stack.kubeconfig, self._folder)
            environment = self.world.environment(KUBECONFIG=str(kubeconfig), AWS_ENDPOINT_URL=self.aws.url)
            blade = Guillotine(chosen, lambda c: c.changes, lambda: self._zygote.start(environment))
            ends.callback(blade.end)
            # A dead worker sends nothing to either of them.
            struck, spared = (self.aws, self.cluster) if store else (self.cluster, self.aws)
            struck.before, struck.after = blade.before, blade.after
            spared.before, spared.after = blade.lets_pass, blade.lets_pass
            incident = await self._incident()
            approval = asyncio.create_task(_approve(incident))
            reviving = asyncio.create_task(_keep_alive(blade))
            try:
                view = await incident.result(_LONG)
                assert (await approval).accepted
            finally:
                approval.cancel()
                reviving.cancel()
            await self.world.ready(NAME, 2)
            return self._outcome(view), blade.deaths

    async def _incident(self) -> Incident:
        workload = deploy_demo_workload(self.world.admin, namespace=self.world.namespace, replicas=2)
        raw = finding_about(workload.pods[0], workload, self.world.stack)
        self.world.publish(raw)
        return await self.world.start(raw)

    def _outcome(self, view: IncidentView) -> Outcome:
        store, prefix = self.world.evidence(), key_of(view).evidence_prefix
        found = verify(store, prefix, view.evidence.manifest_sha256, view.evidence.manifests)
        assert found.ok, found.problems
        assert not view.failures, view.failures
        deployment = self.world.get("Deployment", NAME)
        return Outcome(
            state=view.state,
            steps=tuple((s.step, s.state.value, _plain(s.detail, self.world)) for s in view.steps),
            decisions=tuple((d.by, d.decision, d.counted) for g in view.gates for d in g.decisions),
            changes=tuple(sorted((c.step, c.resource.kind, c.summary) for c in view.changes)),
            undone=len(view.undone),
            objects=_counted(name.split()[0] for name in self.world.objects()),
            images=tuple(sorted(image for p in self.world.pods(NAME) for image in images_of(p).values())),
            rollouts=deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
            made=_counted(f"{c.method} {_plain(c.path, self.world)}" for c in self.cluster.calls if c.made),
            artefacts=_counted(_artefacts(self.world, prefix)),
        )


def _make_control_map(admin: KubeApi) -> None:
    """The first incident of a cluster makes it and each later one changes it; here they are all later ones."""
    with suppress(KubeError):
        admin.request(
            "POST", "/api/v1/namespaces/firebreak/configmaps", {"metadata": {"name": CONTROL_CONFIGMAP}, "data": {}}
        )


async def _approve(incident: Incident) -> DecisionAnswer:
    """Not by command, which would queue the decision a second time where no worker lives to answer it."""
    return await incident.decide(incident.decision(await incident.waiting(seconds=_LONG)))


async def _keep_alive(blade: Guillotine) -> None:
    while True:
        await eventually(lambda: blade.worker.running is False, "a death", _LONG)
        blade.revive()


def _counted(words: Any) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(words).items()))


def _plain(text: str, world: World) -> str:
    """Without the world's name, what is generated (names of pods, hashes of leases), and sizes, which names change."""
    text = re.sub(r"[0-9.]+ k?B\b", "SIZE", text.replace(world.namespace, "NAMESPACE"))
    return re.sub(rf"{NAME}-[a-z0-9]+-[a-z0-9]+|target-[0-9a-f]{{64}}", "GENERATED", text)


def _artefacts(world: World, prefix: str) -> list[str]:
    """The kind of everything that is sealed.

    What an attempt stored before it died has lost its source by the next one, and says so.
    """
    sealed: list[str] = []

    def take(raw: object, number: int, position: int) -> str:
        assert isinstance(raw, dict)
        sealed.append(str(raw["kind"]))
        return str(raw.get("key", ""))

    for manifest in read_manifests(world.evidence(), prefix):
        list(replay_manifest(world.evidence(), prefix, manifest, take))
    return sealed


@pytest.fixture
def new_job(new_world: NewWorld, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    async def make() -> Job:
        return Job(await new_world(), zygote, tmp_path_factory.mktemp("job"))

    return make


async def test_a_worker_that_dies_at_any_change_leaves_the_same_end(new_job: Callable[[], Any], admin: KubeApi) -> None:
    _make_control_map(admin)
    undisturbed: Job = await new_job()
    expected, _ = await undisturbed.run()
    assert expected.state is IncidentState.REMEDIATED
    assert expected.decisions == (("ada", "approve", True),)
    assert set(expected.images) == {CLEAN_IMAGE}
    assert expected.rollouts == "2", "one rollout"
    of_cluster, of_store = _changes(undisturbed.cluster), _changes(undisturbed.aws)
    assert len(of_cluster) >= 10, "budget, policies, label, lease, hold, image, pod, and all that back"

    turns = asyncio.Semaphore(_AT_ONCE)

    async def strike(chosen: int, store: bool) -> str:
        async with turns:
            job: Job = await new_job()
            outcome, deaths = await job.run(chosen, store)
        return _difference(expected, outcome, deaths)

    points = [(n, False) for n in range(1, len(of_cluster) + 1)] + [(n, True) for n in _some(len(of_store))]
    found = await asyncio.gather(*(strike(*point) for point in points), return_exceptions=True)
    wrong = [f"{point}: {what!r}" for point, what in zip(points, found, strict=True) if what]
    assert not wrong, "\n".join(wrong)


def _changes(relay: Relay) -> list[Call]:
    return [c for c in relay.calls if c.changes]


def _some(count: int) -> list[int]:
    """The first, the last, and one in between: objects of the store are all written in the same way."""
    return sorted({1, 2 * count // 3, count})


def _difference(expected: Outcome, outcome: Outcome, deaths: list[str]) -> str:
    if len(deaths) < 1:
        return "the worker was never killed"
    fields = [f for f in Outcome.__dataclass_fields__ if getattr(expected, f) != getattr(outcome, f)]
    return "; ".join(f"{deaths}: {f}: {getattr(expected, f)} became {getattr(outcome, f)}" for f in fields)
