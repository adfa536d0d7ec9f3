"""The deny-all policy of a namespace: made and repaired for the first incident that needs it, deleted by the last.

Its name is ours. What stands under it and is not the deny-all policy is replaced all the same, because otherwise
anybody could keep us out by taking the name first; its spec is kept in an annotation and put back by the last release.
"""

from __future__ import annotations

import json
from typing import Any

from activities.isolation.evaluate import Direction, policy_rule
from activities.isolation.fields import field_value, labels_of
from activities.isolation.holders import HOLDERS_FIELD, holders_of, name_holders, others, with_holder, without_holder
from activities.isolation.objects import ATTEMPTS, edit
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.changes import deny_all_spec, pointer
from contracts.names import INCIDENTS_ANNOTATION, LABEL_ON, MANAGED_LABEL, QUARANTINE_POLICY, QUARANTINED_LABEL
from errors import Conflict, TargetGone
from plans.model import ResourceRef

_MANAGED_FIELD = pointer("metadata", "labels", MANAGED_LABEL)
_REPLACED_FIELD = pointer("metadata", "annotations", "firebreak.dev/replaced-spec")


def deny_all_ref(namespace: str) -> ResourceRef:
    """The deny-all policy of a namespace."""
    return ResourceRef(kind="NetworkPolicy", namespace=namespace, name=QUARANTINE_POLICY)


def is_deny_all(policy: JsonObject) -> bool:
    """Whether a live policy is the deny-all policy: exactly our selector, both directions, no rule."""
    rule = policy_rule(policy)
    selector = {key: value for key, value in rule.selector.items() if value}
    return selector == deny_all_spec()["podSelector"] and rule.directions == frozenset(Direction) and not rule.opens


def ensure_deny_all(kubernetes: Kubernetes, namespace: str, incident: str) -> str:
    """Make the deny-all policy stand in a namespace, with the incident among its holders.

    Returns:
        What had to be repaired, in a sentence, or "".

    Raises:
        TargetGone: The namespace does not exist, or is being terminated.
        Conflict: The policy is being deleted, or others keep changing it.
    """
    for _ in range(ATTEMPTS):
        try:
            kubernetes.create(list_path("NetworkPolicy", namespace), _new_policy(incident))
            return ""
        except Conflict:
            pass
        try:
            return _adopt(kubernetes, namespace, incident)
        except TargetGone:
            # The last holder deleted it between our two calls; it can be created now.
            continue
    raise Conflict(f"{deny_all_ref(namespace)} is created and deleted by others again and again")


def release_deny_all(kubernetes: Kubernetes, namespace: str, incident: str) -> str:
    """Let go of the deny-all policy; the last holder deletes it, once no pod carries the label.

    Returns:
        Why it stays, in a sentence, or "".
    """
    ref = deny_all_ref(namespace)
    path = object_path(ref.kind, namespace, ref.name)
    for _ in range(ATTEMPTS):
        try:
            live = kubernetes.get(path)
            holders = holders_of(live)
            rest = others(holders, incident)
            if rest:
                if incident in holders:
                    edit(kubernetes, ref, lambda live: _without(live, incident), live)
                return f"{ref}: held by {name_holders(rest)}"
            carrying = quarantined_pods(kubernetes, namespace)
            if carrying:
                return f"{ref}: {len(carrying)} pods still carry the label {QUARANTINED_LABEL}"
            if field_value(live, _REPLACED_FIELD) is not None:
                edit(kubernetes, ref, lambda live: _put_back(live, incident), live)
                return f"{ref}: another policy stood under this name before, and does so again"
            # The version makes sure that no incident has taken hold of it since it was read.
            metadata = live["metadata"]
            kubernetes.delete(path, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
            return ""
        except TargetGone:
            return ""
        except Conflict:
            continue
    raise Conflict(f"{ref} is changed by others again and again")


def quarantined_pods(kubernetes: Kubernetes, namespace: str) -> list[JsonObject]:
    """The pods of a namespace that carry the quarantine label, reduced to their metadata."""
    path = list_path("Pod", namespace)
    found = kubernetes.items(path, labelSelector=f"{QUARANTINED_LABEL}={LABEL_ON}")
    return [{"metadata": pod["metadata"]} for pod in found]


def _new_policy(incident: str) -> JsonObject:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": QUARANTINE_POLICY,
            "labels": {MANAGED_LABEL: LABEL_ON},
            "annotations": {INCIDENTS_ANNOTATION: with_holder((), incident)},
        },
        "spec": deny_all_spec(),
    }


def _adopt(kubernetes: Kubernetes, namespace: str, incident: str) -> str:
    ref = deny_all_ref(namespace)
    note = ""

    def decide(live: JsonObject) -> dict[str, Any]:
        nonlocal note
        if live["metadata"].get("deletionTimestamp"):
            raise Conflict(f"{ref} is being deleted and waits for its finalizers")
        values: dict[str, Any] = {}
        managed = labels_of(live).get(MANAGED_LABEL) == LABEL_ON
        if not is_deny_all(live):
            note = f"{ref} did not deny everything and was repaired"
            values["/spec"] = deny_all_spec()
            if not managed:
                note = f"{ref} was somebody else's policy under our name; it was replaced, and its spec kept"
                values[_REPLACED_FIELD] = json.dumps(live.get("spec") or {}, sort_keys=True)
        if not managed:
            values[_MANAGED_FIELD] = LABEL_ON
        holders = holders_of(live)
        if incident not in holders:
            values[HOLDERS_FIELD] = with_holder(holders, incident)
        return values

    edit(kubernetes, ref, decide)
    return note


def _without(live: JsonObject, incident: str) -> dict[str, Any]:
    holders = holders_of(live)
    if not others(holders, incident):
        raise Conflict("the other holders let go in the meantime, so that this incident is the last one")
    return {HOLDERS_FIELD: without_holder(holders, incident)} if incident in holders else {}


def _put_back(live: JsonObject, incident: str) -> dict[str, Any]:
    if others(holders_of(live), incident):
        raise Conflict(f"{deny_all_ref(live['metadata']['namespace'])} has another holder since a moment")
    return {
        "/spec": json.loads(str(field_value(live, _REPLACED_FIELD))),
        _MANAGED_FIELD: None,
        _REPLACED_FIELD: None,
        HOLDERS_FIELD: None,
    }
