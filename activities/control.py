"""The ConfigMap `firebreak-control` in Firebreak's own namespace: the pause switch and the budget's reservations.

Layout of its `data`::

    paused         absent or empty: not paused. Else JSON {"by", "reason", "at"}; any other text counts as paused too,
                   so that `kubectl edit` in an emergency works.
    reservations   JSON {incident: [unix time, namespace, …]}, where incident is the first 16 hex digits of the sha256
                   of workflow id and run id: the automatic containments of the last hour.

Every change is a compare-and-swap on resourceVersion. Whoever can write here can pause Firebreak and spend its budget,
but never raise it: the limits stand in the policy file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.names import CONTROL_CONFIGMAP, LABEL_ON, MANAGED_LABEL
from errors import Conflict, Paused, TargetGone

PAUSED_KEY = "paused"
RESERVATIONS_KEY = "reservations"

_ATTEMPTS = 50
"""Each lost race means that another process won one, so only a broken server makes it this far."""

Data = dict[str, str]


class Pause(BaseModel):
    """Who holds every mutation, and why; `at` is UTC. Empty where the switch was thrown by hand."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    by: str = ""
    reason: str = ""
    at: str = ""


class PauseGate:
    """Stands before every mutation of a worker: `Kubernetes.guarded_by(gate.check)`. Safe to share between threads.

    Args:
        kubernetes: A door without a guard of its own.
        namespace: Firebreak's own.
        ttl: Seconds for which an answer is kept: so long a pause may take to hold.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        namespace: str,
        *,
        ttl: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, Pause | None] | None = None

    def check(self) -> None:
        """Let a mutation pass, or not.

        Raises:
            Paused: An operator holds every mutation.
            Forbidden, Throttled, Unavailable: It cannot be told; what may be held is not done.
        """
        # One thread reads and the others wait for its answer, instead of each asking for itself.
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] >= self._ttl:
                asked = self._clock()
                self._kept = (asked, read_pause(self._kubernetes, self._namespace))
            paused = self._kept[1]
        if paused is not None:
            why = f": {paused.reason}" if paused.reason else ""
            raise Paused(f"paused by {paused.by or 'somebody'}{why}; `firebreak resume` goes on")


def read_pause(kubernetes: Kubernetes, namespace: str) -> Pause | None:
    """The pause that holds every mutation, or None.

    Raises:
        Forbidden, Throttled, Unavailable: It cannot be read.
    """
    try:
        data = kubernetes.get(object_path("ConfigMap", namespace, CONTROL_CONFIGMAP)).get("data") or {}
    except TargetGone:
        return None
    text = str(data.get(PAUSED_KEY) or "")
    if not text:
        return None
    try:
        return Pause.model_validate_json(text)
    except ValueError:
        return Pause(reason=text[:200])


def pause(kubernetes: Kubernetes, namespace: str, *, by: str, reason: str) -> Pause:
    """Hold every mutation of the cluster; a pause that holds already stays as it is.

    Returns:
        The pause that holds now.

    Raises:
        TargetGone: Firebreak's namespace does not exist.
        Forbidden, Throttled, Unavailable: It cannot be written.
    """
    held = read_pause(kubernetes, namespace)
    if held is not None:
        return held
    new = Pause(by=by, reason=reason, at=datetime.now(UTC).isoformat(timespec="seconds"))
    change_control(kubernetes, namespace, lambda data: data | {PAUSED_KEY: new.model_dump_json()})
    return new


def resume(kubernetes: Kubernetes, namespace: str) -> Pause | None:
    """Let mutations pass again.

    Returns:
        The pause that held until now, or None.

    Raises:
        Forbidden, Throttled, Unavailable: It cannot be written.
    """
    held = read_pause(kubernetes, namespace)
    if held is not None:
        change_control(kubernetes, namespace, lambda data: {k: v for k, v in data.items() if k != PAUSED_KEY})
    return held


def change_control(
    kubernetes: Kubernetes,
    namespace: str,
    decide: Callable[[Data], Data | None],
    known: JsonObject | None = None,
) -> JsonObject | None:
    """Change the ConfigMap's data by compare-and-swap, creating it if need be.

    Args:
        kubernetes: The door; the pause switch does not hold these writes.
        namespace: Firebreak's own.
        decide: The new data from the present; None leaves everything as it is. Called again after a lost race, and
            always with data that was read afresh before a None is believed.
        known: The ConfigMap as it was a moment ago, which saves a read.

    Returns:
        The ConfigMap as it is now; None when it does not exist and need not.

    Raises:
        Conflict: Others change it all the time.
        TargetGone: The namespace does not exist.
        Forbidden, Throttled, Unavailable: It cannot be read or written.
    """
    path = object_path("ConfigMap", namespace, CONTROL_CONFIGMAP)
    for _ in range(_ATTEMPTS):
        fresh = known is None
        live, known = known if known is not None else _read(kubernetes, path), None
        data = decide(dict((live or {}).get("data") or {}))
        if data is None and not fresh:
            continue
        if data is None:
            return live
        try:
            if live is None:
                return kubernetes.create(list_path("ConfigMap", namespace), _config_map(data), control=True)
            return kubernetes.replace(path, {**live, "data": data}, control=True)
        except Conflict:
            continue
        except TargetGone:
            # It was deleted since it was read, unless it is the namespace that is missing.
            if live is None:
                raise
    raise Conflict(f"ConfigMap {namespace}/{CONTROL_CONFIGMAP} is changed by others all the time")


def _read(kubernetes: Kubernetes, path: str) -> JsonObject | None:
    try:
        return kubernetes.get(path)
    except TargetGone:
        return None


def _config_map(data: Mapping[str, str]) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONTROL_CONFIGMAP, "labels": {MANAGED_LABEL: LABEL_ON}},
        "data": dict(data),
    }
