"""How a certificate of cert-manager and a secret of Secrets Manager are rotated: by their number, never by their value.

| kind | fields |
|---|---|
| Certificate | `/status/revision`: how often it was issued; raised by the condition Issuing, as `cmctl renew` does |
| SecretsManagerSecret | `/current`: the id of the current version. The new one is chosen when the step is planned |

Neither can be undone: what was replaced was known to somebody else.
Source: https://cert-manager.io/docs/reference/cmctl/#renew and clients.aws.secrets_manager.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from activities.changes.kinds import Values, register
from activities.doors import Doors
from activities.isolation.fields import field_value, patch_operations
from activities.isolation.objects import check_uid
from clients.kubernetes import JsonObject
from clients.paths import group_path
from plans.model import ResourceRef

CERTIFICATE: Final = "Certificate"
MANAGED: Final = "SecretsManagerSecret"
REVISION, VERSION = "/status/revision", "/current"
_CONDITIONS = "/status/conditions"


class CertificateKind:
    """See `activities.changes.kinds.Kind` and `Advancing`: one issued once more than wanted is as good."""

    undoable = False

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """How often it was issued."""
        return {REVISION: revision_of(self._live(ref))}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Mark it for reissue, unless it is marked."""
        live = self._live(ref)
        if is_issuing(live):
            return
        kept = [c for c in field_value(live, _CONDITIONS) or () if c.get("type") != "Issuing"]
        issuing = {
            "type": "Issuing",
            "status": "True",
            "reason": "ManuallyTriggered",
            "message": "Its Secret could be read by a compromised identity",
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "observedGeneration": live["metadata"].get("generation", 1),
        }
        path = f"{certificate_path(ref.namespace, ref.name)}/status"
        self._kubernetes.patch(path, patch_operations(live, {_CONDITIONS: [*kept, issuing]}))

    def covers(self, now: Any, wanted: Any) -> bool:
        """Issued so often, or more often."""
        return int(now or 0) >= int(wanted or 0)

    def ours(self, now: Any) -> bool:
        """Nothing tells who had it issued."""
        return False

    def _live(self, ref: ResourceRef) -> JsonObject:
        live = self._kubernetes.get(certificate_path(ref.namespace, ref.name))
        check_uid(live, ref)
        return live


class ManagedSecretKind:
    """See `activities.changes.kinds.Kind`; the reference's name is the ARN."""

    undoable = False

    def __init__(self, doors: Doors) -> None:
        self._secrets = doors.aws.secrets_manager

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The current version."""
        return {VERSION: self._secrets.state(ref.name).current}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Ask for the version that was planned; asking again for it is the same request."""
        self._secrets.rotate(ref.name, new[VERSION])


def certificate_path(namespace: str, name: str) -> str:
    """The path of a Certificate."""
    return group_path("cert-manager.io", "v1", "certificates", namespace, name)


def revision_of(certificate: JsonObject) -> int:
    """How often a Certificate was issued."""
    return int(field_value(certificate, REVISION) or 0)


def is_issuing(certificate: JsonObject) -> bool:
    """Whether a Certificate is marked for reissue and cert-manager is not done with it."""
    conditions = field_value(certificate, _CONDITIONS) or ()
    return any(c.get("type") == "Issuing" and c.get("status") == "True" for c in conditions)


def token_for(arn: str, current: str, salt: str) -> str:
    """The id of the version that follows the current one: the same however often the step is planned."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"firebreak/{salt}/{arn}/{current}"))


register(CERTIFICATE, CertificateKind)
register(MANAGED, ManagedSecretKind)
