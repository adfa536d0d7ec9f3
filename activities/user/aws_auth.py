"""The ConfigMap aws-auth, which maps IAM principals to usernames and groups (guide U3).

Each change is about the rows of one principal, so that two incidents about two principals do not stand in each other's
way: its field is `/data/<section>/<ARN as written>`, and its before-state is the rows, where they stood, and the text
as it was. A broken map locks everybody out: what cannot be read is left alone, and what is written has been parsed.

Source: https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from activities.changes.kinds import Values, register
from activities.isolation.objects import check_uid
from activities.user.aws_auth_text import Row, Taken, rows_of, with_rows, without_rows
from activities.user.principals import Principal, principal_of
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import object_path
from contracts.changes import pointer, pointer_parts
from contracts.common import Failure
from errors import Conflict, InputError, TargetGone
from plans.model import Change, ResourceRef
from plans.situation import words

KIND: Final = "AwsAuthRow"
NAMESPACE, NAME = "kube-system", "aws-auth"
SECTIONS: Final = {"mapRoles": "rolearn", "mapUsers": "userarn"}
LARGEST_BACKUP: Final = 100_000
"""Characters of the whole text that are kept beside the rows; a longer one is put back row by row."""
_UNREADABLE: Final = {"unreadable": True}
_NODE_GROUPS: Final = ("system:nodes", "system:bootstrappers", "system:node-proxier")


class AuthRow(NamedTuple):
    """One row, in the section and at the place where it stands."""

    section: str
    at: int
    arn: str
    username: str
    groups: tuple[str, ...]

    @property
    def principal(self) -> Principal | None:
        """Whom it lets in."""
        return principal_of(self.arn)

    @property
    def for_nodes(self) -> bool:
        """Whether nodes or Fargate pods join the cluster by it. Such a row is never removed."""
        return self.username.startswith("system:node:") or any(g in _NODE_GROUPS for g in self.groups)


class AwsAuth(NamedTuple):
    """The map as it was read; `uid` is empty when there is none."""

    uid: str
    data: dict[str, str]
    rows: tuple[AuthRow, ...]
    failures: tuple[Failure, ...]


def read_aws_auth(kubernetes: Kubernetes, step: str) -> AwsAuth:
    """The map, and a failure for each section that cannot be read.

    Raises:
        Forbidden, Throttled, Unavailable: The API server does not let us, or does not answer.
    """
    try:
        live = kubernetes.get(object_path("ConfigMap", NAMESPACE, NAME))
    except TargetGone:
        return AwsAuth("", {}, (), ())
    data, rows, failures = live.get("data") or {}, [], []
    for section in SECTIONS:
        try:
            rows += _rows(data.get(section, ""), section)
        except InputError as error:
            message = f"{error.message}; it is left as it is, and whoever it lets in is still let in"
            failures.append(
                Failure(step=step, target=f"{NAMESPACE}/{NAME} {section}", code=error.code, message=message)
            )
    return AwsAuth(live["metadata"]["uid"], data, tuple(rows), tuple(failures))


def changes_without(auth: AwsAuth, rows: Iterable[AuthRow], step: str) -> list[Change]:
    """The changes that take all rows of the principals of some rows, one change a principal and section.

    They build on one another, so they are made in this order.

    Raises:
        InputError: A section cannot be edited.
    """
    texts, changes = dict(auth.data), []
    for section, arn in dict.fromkeys((r.section, r.arn) for r in rows):
        field = pointer("data", section, arn)
        before, texts[section] = _without(texts[section], section, arn)
        changes.append(
            Change(
                step=step,
                resource=ResourceRef(kind=KIND, namespace=NAMESPACE, name=NAME, uid=auth.uid),
                summary=f"{len(before['rows'])} row(s) of {words(arn)} taken out of {section}",
                before={field: before},
                after={field: None},
            )
        )
    return changes


def arn_of(change: Change) -> str:
    """The ARN whose rows a change takes out."""
    return pointer_parts(next(iter(change.after)))[-1]


def usernames_in(change: Change) -> list[str]:
    """The usernames of the rows that a change takes out."""
    value: Any = next(iter(change.before.values())) or {}
    return [str(r["row"].get("username") or "") for r in value.get("rows", ())]


class AwsAuthKind:
    """How rows are read and written: compare-and-swap on the map's resourceVersion."""

    undoable = True

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The rows of each principal; None where there are none."""
        data = self._live(ref).get("data") or {}
        return {field: _value(data, *_parts(field)) for field in fields}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Take rows out, or put them back: the whole text where nobody has edited it since, else the rows alone."""
        live = self._live(ref)
        data = live.get("data") or {}
        operations: list[JsonObject] = [
            {"op": "test", "path": "/metadata/uid", "value": live["metadata"]["uid"]},
            {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        ]
        for field, value in new.items():
            section, arn = _parts(field)
            if _value(data, section, arn) != now.get(field):
                raise Conflict(f"{ref}: {section} changed between two reads")
            text = data.get(section, "")
            written = _without(text, section, arn)[1] if value is None else _with(text, section, value)
            operations.append({"op": "add", "path": f"/data/{section}", "value": written})
        if "data" not in live:
            operations.insert(2, {"op": "add", "path": "/data", "value": {}})
        self._kubernetes.patch(object_path("ConfigMap", NAMESPACE, NAME), operations)

    def _live(self, ref: ResourceRef) -> JsonObject:
        live = self._kubernetes.get(object_path("ConfigMap", NAMESPACE, NAME))
        check_uid(live, ref)
        return live


register(KIND, lambda doors: AwsAuthKind(doors.kubernetes), in_cluster=True)


def _rows(text: str, section: str) -> list[AuthRow]:
    found = []
    for at, row in enumerate(rows_of(text, section)):
        groups = row.get("groups")
        found.append(
            AuthRow(
                section=section,
                at=at,
                arn=str(row.get(SECTIONS[section]) or ""),
                username=str(row.get("username") or ""),
                groups=tuple(str(g) for g in groups) if isinstance(groups, list) else (),
            )
        )
    return found


def _value(data: dict[str, str], section: str, arn: str) -> Any:
    try:
        text = data.get(section, "")
        return _without(text, section, arn)[0] if _places(text, section, arn) else None
    except InputError:
        # It is neither what it was nor what was left; who compares will say so, and nobody writes.
        return _UNREADABLE


def _places(text: str, section: str, arn: str) -> list[int]:
    return [r.at for r in _rows(text, section) if r.arn.lower() == arn.lower()]


def _without(text: str, section: str, arn: str) -> tuple[dict[str, Any], str]:
    """The before-state of a principal's rows, and the text without them."""
    left, taken = without_rows(text, _places(text, section, arn), section)
    rows = [{"at": t.at, "row": t.row, "lines": t.lines} for t in taken]
    backup = text if len(text) <= LARGEST_BACKUP else None
    return {"rows": rows, "text": backup, "left": _hash(left)}, left


def _with(text: str, section: str, value: Any) -> str:
    if value["text"] is not None and _hash(text) == value["left"]:
        return str(value["text"])
    return with_rows(text, [Taken(r["at"], _row(r["row"]), r["lines"]) for r in value["rows"]], section)


def _row(row: Any) -> Row:
    return dict(row)


def _parts(field: str) -> tuple[str, str]:
    _, section, arn = pointer_parts(field)
    return section, arn


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
