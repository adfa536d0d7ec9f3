"""Who makes a Secret's new value: cert-manager, AWS Secrets Manager, or a person.

| annotation or owner of the Secret | what makes a new one |
|---|---|
| `cert-manager.io/certificate-name` | its Certificate is marked for reissue, as `cmctl renew` does |
| an ExternalSecret of a store of AWS Secrets Manager | the secret behind it is rotated, if rotation is set up |
| `firebreak.dev/secrets-manager-id` | the same, for whoever copies secrets by other means |

Anything else is a task. What an annotation names is checked before it counts: whoever may write to a Secret may not
choose what Firebreak rotates, beyond what names this very Secret or is set up for rotation.
"""

from __future__ import annotations

from typing import NamedTuple

from activities.doors import Doors
from activities.secrets.kinds import CERTIFICATE, MANAGED, REVISION, VERSION, certificate_path, is_issuing, revision_of
from activities.secrets.kinds import token_for as version_for
from clients.kubernetes import JsonObject
from clients.paths import group_path
from errors import FirebreakError, TargetGone, Throttled, Unavailable
from plans.model import Change, ResourceRef
from plans.situation import words

CERTIFICATE_NAME = "cert-manager.io/certificate-name"
MANAGED_ID = "firebreak.dev/secrets-manager-id"
_EXTERNAL = "external-secrets.io"


class Source(NamedTuple):
    """What becomes of one Secret. Without changes it is a task, and `why` says what stands in the way."""

    changes: tuple[Change, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()
    check: str = ""
    """What a person has to look at although a new one is made."""


def source_of(doors: Doors, secret: JsonObject, step: str, salt: str) -> Source:
    """Who makes the new value of one Secret.

    Args:
        doors: The clients.
        secret: Its metadata.
        step: Whose changes they are.
        salt: Of the incident: the same rotation asked for twice is one.

    Raises:
        Throttled, Unavailable: A service does not answer.
    """
    annotations = secret["metadata"].get("annotations") or {}
    try:
        if annotations.get(CERTIFICATE_NAME):
            return _of_certificate(doors, secret, str(annotations[CERTIFICATE_NAME]), step)
        if annotations.get(MANAGED_ID):
            return managed_source(doors, (str(annotations[MANAGED_ID]),), step, salt)
        owner = next((o for o in secret["metadata"].get("ownerReferences") or () if _is_external(o)), None)
        if owner is not None:
            return _of_external(doors, secret, owner, step, salt)
    except (Throttled, Unavailable):
        raise
    except FirebreakError as error:
        return Source(why=f"what stands behind it could not be read: {error.message}")
    return Source()


def _of_certificate(doors: Doors, secret: JsonObject, name: str, step: str) -> Source:
    namespace = str(secret["metadata"]["namespace"])
    try:
        live = doors.kubernetes.get(certificate_path(namespace, name))
    except TargetGone:
        return Source(why=f"its Certificate {words(name)} is gone")
    spec = live.get("spec") or {}
    if spec.get("secretName") != secret["metadata"]["name"]:
        return Source(why=f"the Certificate {words(name)} that it names writes another Secret")
    policy = (spec.get("privateKey") or {}).get("rotationPolicy")
    if policy == "Never":
        return Source(why=f"the Certificate {words(name)} keeps its private key (rotationPolicy Never)")
    now = revision_of(live)
    change = Change(
        step=step,
        resource=ResourceRef(kind=CERTIFICATE, namespace=namespace, name=name, uid=live["metadata"]["uid"]),
        summary=f"cert-manager issues it anew, into the Secret {words(str(spec['secretName']))}",
        before={REVISION: now},
        after={REVISION: now + 1},
    )
    notes: tuple[str, ...] = ("The certificate before it stays valid until it expires, unless its issuer revokes it.",)
    if is_issuing(live):
        notes = (*notes, f"Certificate {words(namespace)}/{words(name)} is being issued already.")
    # Unset means Always since cert-manager 1.18 and Never before; the object does not say which.
    unsure = "" if policy == "Always" else "its Certificate sets no rotationPolicy, so make sure that its key is new"
    return Source(changes=(change,), notes=notes, check=unsure)


def managed_source(doors: Doors, identifiers: tuple[str, ...], step: str, salt: str) -> Source:
    """The rotation of secrets of Secrets Manager, all of them or none.

    Raises:
        FirebreakError: It may not be asked about, or does not answer.
    """
    changes = []
    for identifier in identifiers:
        try:
            state = doors.aws.secrets_manager.state(identifier)
        except TargetGone:
            return Source(why=f"Secrets Manager knows no secret {words(identifier)} here")
        if not state.rotates or not state.current:
            return Source(why=f"no rotation is set up for {words(state.name)} in Secrets Manager")
        changes.append(
            Change(
                step=step,
                resource=ResourceRef(kind=MANAGED, name=state.arn),
                summary="Secrets Manager rotates it; whatever copies it into the cluster follows by itself",
                before={VERSION: state.current},
                after={VERSION: version_for(state.arn, state.current, salt)},
            )
        )
    return Source(changes=tuple(changes))


def _is_external(owner: JsonObject) -> bool:
    return owner.get("kind") == "ExternalSecret" and str(owner.get("apiVersion", "")).startswith(f"{_EXTERNAL}/")


def _of_external(doors: Doors, secret: JsonObject, owner: JsonObject, step: str, salt: str) -> Source:
    namespace, version = str(secret["metadata"]["namespace"]), str(owner["apiVersion"]).partition("/")[2]
    path = group_path(_EXTERNAL, version, "externalsecrets", namespace, str(owner["name"]))
    spec = doors.kubernetes.get(path).get("spec") or {}
    reference = spec.get("secretStoreRef") or {}
    wide = reference.get("kind") == "ClusterSecretStore"
    plural, place = ("clustersecretstores", "") if wide else ("secretstores", namespace)
    store = doors.kubernetes.get(group_path(_EXTERNAL, version, plural, place, str(reference.get("name") or "-")))
    aws = ((store.get("spec") or {}).get("provider") or {}).get("aws") or {}
    keys = [(d.get("remoteRef") or {}).get("key") for d in spec.get("data") or ()]
    keys += [(d.get("extract") or {}).get("key") for d in spec.get("dataFrom") or ()]
    named = tuple(dict.fromkeys(str(k) for k in keys if k))
    if aws.get("service") != "SecretsManager" or aws.get("role") or not named or len(named) != len(set(keys)):
        return Source(
            why=f"External Secrets copies it from the store {words(str(reference.get('name')))}: rotate it there"
        )
    if aws.get("region") not in (None, "", doors.aws.region):
        return Source(why=f"External Secrets copies it from {words(str(aws['region']))}: rotate it there")
    source = managed_source(doors, named, step, salt)
    return source._replace(notes=("External Secrets copies the new value when its refresh interval has passed.",))
