"""The hourly budget of automatic containments, kept in the ConfigMap `firebreak-control` (`activities.control`).

Attackers can cause findings, so that Firebreak would take a cluster down for them. Each incident reserves once, before
anything is done; what does not fit waits for a person. Beyond doubt comes refusal: a record that cannot be read counts
as a budget that is spent.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence

from activities.control import RESERVATIONS_KEY, Data, change_control
from clients.kubernetes import JsonObject, Kubernetes
from contracts.common import IncidentKey
from contracts.names import CONTROL_CONFIGMAP
from errors import Forbidden, InputError, TargetGone
from plans.policy import HourlyContainments

WINDOW = 3600.0
"""Seconds for which a reservation counts."""

Reservations = dict[str, tuple[float, tuple[str, ...]]]
"""Incident to the moment (unix time) and namespaces of its containment."""


class Budget:
    """The budget of one cluster. Safe to share between threads.

    Args:
        kubernetes: The door.
        namespace: Firebreak's own.
        clock: Unix time.
    """

    def __init__(self, kubernetes: Kubernetes, namespace: str, *, clock: Callable[[], float] = time.time) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._clock = clock
        # A storm of incidents on one worker queues here, instead of defeating itself at the API server.
        self._lock = threading.Lock()
        self._known: JsonObject | None = None

    def reserve(self, incident: IncidentKey, namespaces: Sequence[str], limits: HourlyContainments) -> str:
        """Reserve one containment for an incident; again and again is the same reservation.

        Args:
            incident: The incident.
            namespaces: Of its pods; each counts one containment of its own limit.
            limits: Of the policy in force.

        Returns:
            Why the budget does not allow it, as a sentence, or "".

        Raises:
            Conflict, Throttled, Unavailable: The record cannot be changed now; a retry may.
        """
        refusal = ""

        def decide(data: Data) -> Data | None:
            nonlocal refusal
            now = self._clock()
            try:
                held = _read(data.get(RESERVATIONS_KEY, ""))
            except ValueError as error:
                refusal = self._unreadable(str(error))
                return None
            held = {key: entry for key, entry in held.items() if entry[0] > now - WINDOW}
            if key_of(incident) in held:
                refusal = ""
                return None
            refusal = _exceeded(held, namespaces, limits)
            if refusal:
                return None
            held[key_of(incident)] = (now, tuple(sorted(set(namespaces))))
            return data | {RESERVATIONS_KEY: _write(held)}

        with self._lock:
            try:
                self._known = change_control(self._kubernetes, self._namespace, decide, self._known)
            except (TargetGone, Forbidden, InputError) as error:
                self._known = None
                return f"The budget could not be reserved: {error.message}"
            except BaseException:
                # What is known may be what failed.
                self._known = None
                raise
        return refusal

    def _unreadable(self, why: str) -> str:
        return (
            f"The record of containments in ConfigMap {self._namespace}/{CONTROL_CONFIGMAP} cannot be read ({why}), "
            f"so it counts as spent; remove its key {RESERVATIONS_KEY} to begin anew."
        )


def key_of(incident: IncidentKey) -> str:
    """What an incident is called in the record: short, because a thousand of them share one ConfigMap."""
    return hashlib.sha256(f"{incident.workflow_id}\n{incident.run_id}".encode()).hexdigest()[:16]


def _exceeded(held: Reservations, namespaces: Sequence[str], limits: HourlyContainments) -> str:
    if len(held) >= limits.cluster:
        return f"{len(held)} containments in the last hour reach the cluster's limit of {limits.cluster}."
    for namespace in sorted(set(namespaces)):
        count = sum(namespace in entry[1] for entry in held.values())
        if count >= limits.namespace:
            return (
                f"{count} containments in the last hour reach the limit of {limits.namespace} in the namespace "
                f"{namespace}."
            )
    return ""


def _read(text: str) -> Reservations:
    """The record from its text.

    Raises:
        ValueError: It is not a record; the message says what is wrong without repeating it.
    """
    if not text:
        return {}
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(record, dict):
        raise ValueError("it is not a JSON object")
    held: Reservations = {}
    for key, entry in record.items():
        if not isinstance(entry, list) or not entry or isinstance(entry[0], bool):
            raise ValueError("an entry is not a list that begins with a time")
        at, *namespaces = entry
        if not isinstance(at, int | float) or not all(isinstance(n, str) for n in namespaces):
            raise ValueError("an entry is not a time and names of namespaces")
        held[key] = (float(at), tuple(namespaces))
    return held


def _write(held: Reservations) -> str:
    return json.dumps({key: [round(at), *namespaces] for key, (at, namespaces) in held.items()}, separators=(",", ":"))
