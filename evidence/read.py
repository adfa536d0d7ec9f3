"""Reading the evidence of one incident: its entries, one artefact, or all of it into a folder.

Whatever is taken out is hashed on the way, and what does not have its recorded hash is not written. The folder has the
store's own layout, so `verify` works on it as it does on the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from errors import Conflict, EvidenceError, InputError, TargetGone
from evidence.entry import Entry, checked
from evidence.local import LocalStore
from evidence.manifest import manifest_key, read_entries, read_manifests
from evidence.store import EvidenceStore, check_key


def list_entries(store: EvidenceStore, prefix: str) -> Iterator[Entry]:
    """Every sealed entry of an incident, in the order in which it was sealed.

    Raises:
        EvidenceError: A manifest cannot be read; `verify` says more.
    """
    for manifest in read_manifests(store, prefix):
        yield from read_entries(store, prefix, manifest.number)


def find_entry(store: EvidenceStore, prefix: str, key: str) -> Entry:
    """The entry of one artefact.

    Args:
        store: Where the evidence is.
        prefix: The incident's place in it.
        key: Below the prefix, as `list_entries` shows it.

    Raises:
        TargetGone: No manifest records such an artefact.
    """
    for entry in list_entries(store, prefix):
        if entry.key == key and entry.collected:
            return entry
    raise TargetGone(f"no manifest records {check_key(key)}")


def fetch(store: EvidenceStore, prefix: str, key: str, folder: Path) -> Path:
    """Copy one artefact into a folder.

    Returns:
        Where it is now: the folder and the artefact's key, incident included.

    Raises:
        TargetGone: No manifest records it, or it is gone.
        EvidenceError: It does not have the recorded hash; nothing was written.
        Conflict: Another file stands there.
    """
    entry = find_entry(store, prefix, key)
    full = f"{prefix}/{check_key(key)}"
    LocalStore(folder).put(full, checked(store.get(full), key, entry.sha256))
    return folder / full


def fetch_all(store: EvidenceStore, prefix: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Copy everything that the manifests record, lists and manifests included.

    Yields:
        Each key below the prefix, and why it was not copied, or "".
    """
    target = LocalStore(folder)
    for key, sha256 in _recorded(store, prefix):
        try:
            full = f"{prefix}/{check_key(key)}"
            target.put(full, checked(store.get(full), key, sha256))
        except (TargetGone, Conflict, EvidenceError, InputError) as error:
            yield key, error.message
        else:
            yield key, ""


def _recorded(store: EvidenceStore, prefix: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for manifest in read_manifests(store, prefix):
        yield manifest_key(prefix, manifest.number).removeprefix(f"{prefix}/"), manifest.sha256
        lists = manifest.header.lists if manifest.header is not None else ()
        for one in lists:
            if one.key not in seen:
                seen.add(one.key)
                yield one.key, one.sha256
        for entry in read_entries(store, prefix, manifest.number):
            if entry.collected and entry.key not in seen:
                seen.add(entry.key)
                yield entry.key, entry.sha256
