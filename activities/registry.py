"""Every activity that a worker runs, with the doors they act through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity
from temporalio.client import Client

from activities.accounts.recreate import AccountActivities
from activities.assess.assessing import Assessing
from activities.assess.cluster import ClusterReader
from activities.collect.activity import Collecting
from activities.configuration.close import CloseActivities
from activities.configuration.revert import RevertActivities
from activities.configuration.suppress import SuppressActivities
from activities.configuration.unbind import UnbindActivities
from activities.control import PauseGate
from activities.doors import Doors
from activities.eradicate.delete import DeleteActivities
from activities.eradicate.redeploy import RedeployActivities
from activities.eradicate.rollout import RolloutActivities
from activities.image import IMAGE_ROOMS
from activities.isolation.hold import HoldActivities
from activities.isolation.isolate import IsolateActivities
from activities.isolation.verify import VerifyActivities
from activities.lease import LeaseActivities
from activities.node import NODE_ROOMS
from activities.report.activity import Reporting
from activities.restore import RestoreActivities
from activities.seal import Sealing
from activities.secrets.rotate import SecretActivities
from activities.steps import PlanningActivities, StepRoom
from activities.sweep import SweepActivities
from activities.user.access import AccessActivities
from activities.user.credentials import CREDENTIAL_ROOMS
from activities.user.disassociate import ProviderActivities
from clients.aws import Aws
from clients.kubernetes import Kubernetes
from contracts.names import ActivityName
from contracts.timing import TIMINGS
from evidence.store import open_store
from settings import Settings

_KNOWING_THE_CLUSTER = (Assessing, VerifyActivities)
_OTHERS = (
    IsolateActivities,
    HoldActivities,
    RestoreActivities,
    SweepActivities,
    LeaseActivities,
    Collecting,
    Sealing,
    Reporting,
    RedeployActivities,
    RolloutActivities,
    DeleteActivities,
)
_STEPS: tuple[type[StepRoom], ...] = (
    AccessActivities,
    ProviderActivities,
    *CREDENTIAL_ROOMS,
    *NODE_ROOMS,
    *IMAGE_ROOMS,
    UnbindActivities,
    RevertActivities,
    CloseActivities,
    SuppressActivities,
    AccountActivities,
    SecretActivities,
)
ROOMS = (*_KNOWING_THE_CLUSTER, *_OTHERS, *_STEPS, PlanningActivities)

Activity = Callable[..., Any]


def open_doors(client: Client, settings: Settings) -> Doors:
    """The clients of one worker; every mutation of the cluster passes the pause switch first.

    Raises:
        InputError: The environment names no region, no reachable kubeconfig or no valid store.
    """
    kubernetes = Kubernetes.from_environment()
    pause = PauseGate(kubernetes, settings.namespace).check
    aws = Aws(region=settings.region).guarded_by(pause)
    own = settings.bindings_kubeconfig
    bindings = kubernetes if own is None else Kubernetes.from_environment(kubeconfig=str(own))
    return Doors(
        settings=settings,
        kubernetes=kubernetes.guarded_by(pause),
        bindings=bindings.guarded_by(pause),
        aws=aws,
        store=open_store(settings.evidence, aws.s3),
        temporal=client,
    )


def planning(doors: Doors) -> PlanningActivities:
    """What plans the steps of all rooms, for a reader who carries nothing out."""
    return PlanningActivities(doors, tuple(room(doors) for room in _STEPS))


def registered(doors: Doors) -> dict[str, list[Activity]]:
    """The activities by task queue.

    Raises:
        InputError: The policy file is invalid, so that a worker never starts with rules that nobody meant.
    """
    queues: dict[str, list[Activity]] = {}
    # What assessment has read of the cluster, verification finds: facts that cost twenty calls are read once a minute.
    cluster = ClusterReader(doors.kubernetes)
    knowing = [room(doors, cluster) for room in _KNOWING_THE_CLUSTER]
    steps = tuple(room(doors) for room in _STEPS)
    for instance in (*knowing, *(room(doors) for room in _OTHERS), *steps, PlanningActivities(doors, steps)):
        for name in dir(instance):
            method = getattr(instance, name)
            definition = activity._Definition.from_callable(method) if callable(method) else None
            if definition is not None and definition.name is not None:
                queues.setdefault(TIMINGS[ActivityName(definition.name)].queue, []).append(method)
    return queues
