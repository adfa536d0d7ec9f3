"""How each kind of resource is read and written, the same way for Kubernetes and AWS: values by JSON pointer.

A file for each service adds its kinds (`register`). What is not registered is an object of the Kubernetes API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from activities.doors import Doors
from clients.paths import RESOURCES
from plans.model import ResourceRef

Values = Mapping[str, Any]
"""By JSON pointer; None is absent. The pointer "" is the whole object."""


class Kind(Protocol):
    """One kind of resource."""

    undoable: bool
    """False for what nothing brings back: a deleted key, a terminated instance."""

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """What the fields hold now. A whole object that does not exist reads as None.

        Raises:
            TargetGone: The object that the fields belong to does not exist, or another one stands under its name.
        """

    def write(self, ref: ResourceRef, now: Values, new: Values) -> Values | None:
        """Give the fields new values, on the condition that they still hold what was read where the service can tell.

        Returns:
            The fields as the service has written them; None where it writes what it is given.

        Raises:
            Conflict: They do not.
            TargetGone: The object does not exist.
        """


@runtime_checkable
class Advancing(Protocol):
    """A kind whose value moves on while it is held: one step later it says more than it did, and undo takes all of it.

    The policy that ends a role's sessions is one: its moment moves forward whenever an incident ends them again.
    """

    def covers(self, now: Any, wanted: Any) -> bool:
        """Whether what stands does all that is wanted, and so need not be written."""

    def ours(self, now: Any) -> bool:
        """Whether what stands was left by an earlier change of the kind, and so may be replaced or taken away."""


_BINDINGS = ("ClusterRoleBinding", "RoleBinding")
_FACTORIES: dict[str, Callable[[Doors], Kind]] = {}
_IN_CLUSTER: set[str] = set()
_UNWATCHED: set[str] = set()


def register(kind: str, factory: Callable[[Doors], Kind], *, in_cluster: bool = False, watched: bool = True) -> None:
    """Say how a kind is read and written; called once, at import of the room that knows it.

    Args:
        kind: Its name in a `ResourceRef`.
        factory: Makes it for the doors of an installation.
        in_cluster: Whether reading it asks the API server alone, so that every sweep can afford it. What the API
            server calls by the same name does so anyway.
        watched: False where no proof rests on it, so that nobody need look again when somebody takes it away.
    """
    _FACTORIES[kind] = factory
    if not watched:
        _UNWATCHED.add(kind)
    if in_cluster:
        _IN_CLUSTER.add(kind)


def lives_in_cluster(kind: str) -> bool:
    """Whether reading a kind asks nobody but the API server."""
    return kind in RESOURCES or kind in _IN_CLUSTER


def is_watched(kind: str) -> bool:
    """Whether an incident is told when a change of the kind does not stand any more."""
    return kind not in _UNWATCHED


def kind_of(doors: Doors, kind: str) -> Kind:
    """The way to read and write a kind."""
    from activities.changes.bindings import BindingKind
    from activities.changes.kubernetes import KubernetesKind

    factory = _FACTORIES.get(kind)
    if factory is not None:
        return factory(doors)
    return BindingKind(doors.bindings) if kind in _BINDINGS else KubernetesKind(doors.kubernetes)
