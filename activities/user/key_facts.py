"""What IAM says of access keys: whose they are, and whether they can be used."""

from __future__ import annotations

from activities.user.holders import USER, Holder
from clients.aws.iam import Iam
from errors import Forbidden, PolicyRefusal, TargetGone
from plans.model import ResourceRef
from plans.situation import words


class KeyFacts:
    """Reads."""

    def __init__(self, iam: Iam) -> None:
        self._iam = iam

    def look(self, holder: Holder) -> tuple[str | None, str]:
        """The status of a key, or None and why there is none.

        Raises:
            PolicyRefusal: The identity is protected, or the key belongs to somebody whom the finding does not name.
        """
        if holder.refused and holder.name:
            raise PolicyRefusal(holder.refused)
        if holder.refused:
            return None, holder.refused
        if holder.kind != USER:
            return None, f"{holder} has no access keys; its sessions are ended instead."
        key_id = holder.key_id
        try:
            keys = self._iam.access_keys(holder.name)
        except TargetGone:
            return None, f"{holder} does not exist any more, and neither do its keys."
        if key_id in keys and self._iam.is_caller(USER, holder.name):
            raise PolicyRefusal(f"{words(key_id)} may be the key that Firebreak itself uses")
        if key_id in keys:
            return keys[key_id], ""
        try:
            owner = self._iam.key_owner(key_id)
        except (TargetGone, Forbidden):
            return None, f"{holder} has no key {words(key_id)} any more."
        raise PolicyRefusal(f"{words(key_id)} belongs to {words(owner)}, not to {holder}, whom the finding names")

    def is_off(self, key: ResourceRef) -> bool:
        """Whether nobody can use the key: it is Inactive, or gone."""
        return self._status(key) != "Active"

    def is_gone(self, key: ResourceRef) -> bool:
        """Whether the key, or its user, does not exist."""
        return not self._status(key)

    def _status(self, key: ResourceRef) -> str:
        try:
            return self._iam.access_keys(key.namespace).get(key.name, "")
        except TargetGone:
            return ""
