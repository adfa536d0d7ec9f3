"""Which service accounts of pods RBAC binds to something of their own: tokens of the others open nothing (guide P5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Final

from activities.assess.reading import Reader
from activities.isolation.objects import live_list
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path
from errors import Throttled, Unavailable
from plans.observed import PodFacts

_USER: Final = "system:serviceaccount:"
_NAMESPACE: Final = "system:serviceaccounts:"

Named = frozenset[tuple[str, str]]
"""Namespace and name of accounts that bindings name; the name "" stands for every account of the namespace."""


class BindingReads:
    """Reads of bindings that are under way. One that fails is a note: no assessment fails for what comes later."""

    def __init__(self, reader: Reader, namespaces: Iterable[str] = ()) -> None:
        self._reader = reader
        self._started: dict[str, Future[Named]] = {}
        self.of((*namespaces, ""))

    def of(self, namespaces: Iterable[str]) -> None:
        """Begin to read the RoleBindings of more namespaces; "" stands for the ClusterRoleBindings."""
        for name in namespaces:
            if name not in self._started:
                self._started[name] = self._reader.start(partial(_read, self._reader.kubernetes, name))

    def bound(self, pods: Collection[PodFacts]) -> tuple[str, ...]:
        """`namespace/name` of the accounts of pods that something is bound to, as far as our identity may read it.

        Groups of all accounts, or of everybody, do not count: whoever has nothing else has what every pod has.
        """
        running = {(p.namespace, p.service_account) for p in pods}
        self.of(namespace for namespace, _ in sorted(running))
        named: set[tuple[str, str]] = set()
        for namespace, future in self._started.items():
            what = f"The RoleBindings of {namespace}" if namespace else "The ClusterRoleBindings"
            try:
                read: Named = self._reader.optional(future, frozenset(), what)
                named |= read
            except (Throttled, Unavailable) as error:
                self._reader.notes.append(f"{what} could not be read: {error.message}")
        return tuple(f"{ns}/{name}" for ns, name in sorted(running) if {(ns, name), (ns, "")} & named)


def _read(kubernetes: Kubernetes, namespace: str) -> Named:
    # From the watch cache, since containment waits for the plan.
    path = list_path("RoleBinding", namespace) if namespace else list_path("ClusterRoleBinding")
    return named_by(live_list(kubernetes, path, cached=True))


def named_by(bindings: Iterable[JsonObject]) -> Named:
    """The accounts that bindings name: themselves, by their username, or by the group of their namespace."""
    found = set()
    for binding in bindings:
        own = str(binding["metadata"].get("namespace") or "")
        for subject in binding.get("subjects") or ():
            found |= _accounts_in(subject, own)
    return frozenset(found)


def _accounts_in(subject: JsonObject, own: str) -> set[tuple[str, str]]:
    kind, name = subject.get("kind"), str(subject.get("name") or "")
    if kind == "ServiceAccount":
        return {(str(subject.get("namespace") or own), name)}
    if kind == "User" and name.startswith(_USER):
        namespace, _, account = name.removeprefix(_USER).partition(":")
        return {(namespace, account)} if account else set()
    if kind == "Group" and name.startswith(_NAMESPACE):
        return {(name.removeprefix(_NAMESPACE), "")}
    return set()
