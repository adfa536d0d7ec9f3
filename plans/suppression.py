"""The suppression rule for findings that were expected: a filter of GuardDuty, as narrow as the finding allows (G4).

A filter of the action ARCHIVE hides what it matches from everybody who listens to GuardDuty, Firebreak included. So it
never rests on what an attacker could share: it names the type, the account, the cluster, and of namespace, workload and
user all that the finding says.

Source: https://docs.aws.amazon.com/guardduty/latest/ug/findings_suppression-rule.html, and for the criteria
https://docs.aws.amazon.com/guardduty/latest/APIReference/API_CreateFilter.html
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from pydantic import BaseModel

from errors import PolicyRefusal
from findings.model import Finding
from findings.workload import WorkloadKind
from plans.digest import canonical_digest
from plans.model import WIRE, Gate, Path, Plan, ResourceRef, Step, Target, TargetKind, Verdict

STEP: Final = "configuration.suppress"
"""No plan drafts it: whoever approves a gate says that the finding is true, whoever suppresses that it was expected."""
Criteria = dict[str, dict[str, list[str]]]
"""By criterion, `equals` or `matches` and the values."""

_WORKLOAD: Final = "resource.kubernetesDetails.kubernetesWorkloadDetails"
_USER: Final = "resource.kubernetesDetails.kubernetesUserDetails"
_CALL: Final = "service.action.kubernetesApiCallAction"
_WORDS: Final = {
    "type": "finding type",
    "accountId": "account",
    "resource.eksClusterDetails.name": "cluster",
    f"{_WORKLOAD}.namespace": "namespace",
    f"{_CALL}.namespace": "namespace of the call",
    f"{_WORKLOAD}.type": "workload kind",
    f"{_WORKLOAD}.name": "workload",
    f"{_WORKLOAD}.serviceAccountName": "service account of the workload",
    f"{_USER}.username": "user",
    f"{_USER}.impersonatedUser.username": "impersonated user",
}
_ANYBODY: Final = ("system:anonymous", "system:unauthenticated")
_PLAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_VALUE: Final = 500
_CLEANED: Final = ("\N{REPLACEMENT CHARACTER}", "\N{HORIZONTAL ELLIPSIS}")


class Suppression(BaseModel):
    """A filter that is proposed; nothing is created yet."""

    model_config = WIRE

    name: str
    """Derived from type, cluster and criteria: the same proposal has the same name."""
    criteria: Criteria
    words: tuple[str, ...]
    """The criteria for people, one sentence each; names in them come from outside."""
    hides: tuple[str, ...]
    """What else it would hide, and what it would not."""


def suppression_of(finding: Finding, owner: ResourceRef | None = None) -> Suppression:
    """The narrowest filter that hides findings like this one.

    Args:
        finding: The finding that was expected.
        owner: What made the pod that the finding names, as the cluster says: its next pods have other names.

    Raises:
        PolicyRefusal: Nothing narrows it, or the finding is of a kind that a filter cannot name.
    """
    if finding.sample:
        raise PolicyRefusal("a sample finding: there is nothing behind it that could be expected")
    if finding.sequence is not None:
        raise PolicyRefusal("an attack sequence is made of several findings; suppress those that were expected")
    if finding.cluster is None or not finding.cluster.name:
        raise PolicyRefusal("the finding names no cluster, and a filter would hide it in all of them")
    criteria = _equal(
        {
            "type": finding.type,
            "accountId": finding.account,
            "resource.eksClusterDetails.name": finding.cluster.name,
        }
    )
    narrowing = _workload(finding, owner) | _user(finding)
    if all(set(c.get("equals", ())) <= {*_ANYBODY} for c in narrowing.values()):
        raise PolicyRefusal(
            "neither namespace nor workload nor user narrows it: a filter would hide every such finding of the cluster"
        )
    criteria |= narrowing
    for field, condition in criteria.items():
        if any(_altered(v) for values in condition.values() for v in values):
            # Nobody can approve what cannot be shown, and what was cut or cleaned matches nothing.
            raise PolicyRefusal(f"{_WORDS[field]} of the finding cannot be shown as it is, so it is not suppressed")
    return Suppression(
        name=_name(finding.type, finding.cluster.name, criteria),
        criteria=criteria,
        words=tuple(_sentence(field, condition) for field, condition in criteria.items()),
        hides=_hides(finding.type, criteria),
    )


def _altered(value: str) -> bool:
    """Whether a value is not as GuardDuty has it: reading a finding cuts texts and takes unprintable characters out."""
    return len(value) > _LONGEST_VALUE or not value.isprintable() or any(mark in value for mark in _CLEANED)


def owner_in(plan: Plan | None, finding: Finding) -> ResourceRef | None:
    """What made the pod that the finding names, as far as the plan of its incident knows."""
    workload = finding.workload
    if plan is None or workload is None or workload.kind is not WorkloadKind.POD:
        return None
    named = (workload.namespace, workload.name)
    targets = (t for s in plan.steps for t in s.targets if t.kind is TargetKind.POD)
    return next((t.owner for t in targets if t.owner is not None and (t.namespace, t.name) == named), None)


def suppression_step(proposed: Suppression, owner: ResourceRef | None, by: str, reason: str) -> Step:
    """The step that creates the filter: its target is the filter by name, and so all that was shown of it."""
    target = Target(kind=TargetKind.FILTER, name=proposed.name, owner=owner)
    return Step(
        step=STEP,
        path=Path.CONFIGURATION,
        action="suppress",
        targets=(target,),
        target_count=1,
        gate=Gate.ERADICATE,
        decision=Verdict.APPROVAL,
        reason=f"{by}: {reason}",
        undo="`firebreak release` deletes the filter; what it archived meanwhile stays archived.",
    )


def _workload(finding: Finding, owner: ResourceRef | None) -> Criteria:
    workload = finding.workload
    if workload is None or not (workload.namespace or workload.name):
        return _equal({f"{_CALL}.namespace": finding.api_call.namespace if finding.api_call else ""})
    found = _equal({f"{_WORKLOAD}.namespace": workload.namespace, f"{_WORKLOAD}.type": workload.type})
    if not workload.name:
        # A kind alone would be no narrower than the namespace.
        found.pop(f"{_WORKLOAD}.type", None)
        return found
    condition = {"equals": [workload.name]}
    if workload.kind is WorkloadKind.POD and owner is not None and _PLAIN.fullmatch(owner.name):
        if workload.name.startswith(f"{owner.name}-"):
            condition = {"matches": [f"{owner.name}-*"]}
    account = _equal({f"{_WORKLOAD}.serviceAccountName": workload.service_account})
    return {**found, f"{_WORKLOAD}.name": condition, **account}


def _user(finding: Finding) -> Criteria:
    user = finding.user
    if user is None:
        return {}
    as_whom = user.impersonated.username if user.impersonated is not None else ""
    return _equal({f"{_USER}.username": user.username, f"{_USER}.impersonatedUser.username": as_whom})


def _equal(values: dict[str, str]) -> Criteria:
    return {field: {"equals": [value]} for field, value in values.items() if value}


def _name(finding_type: str, cluster: str, criteria: Criteria) -> str:
    """At most 64 characters: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_CreateFilter.html."""
    digest = hashlib.sha256(canonical_digest(criteria).encode()).hexdigest()[:12]
    about = _slug(re.split(r"[/.:]", finding_type)[-1])
    return f"firebreak-{about[:20]}-{_slug(cluster)[:16]}-{digest}"


def _slug(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-") or "x"


def _sentence(field: str, condition: dict[str, list[str]]) -> str:
    (how, values), *_ = condition.items()
    return f"{_WORDS[field]} {'matches' if how == 'matches' else 'is'} {', '.join(values)}"


def _hides(finding_type: str, criteria: Criteria) -> tuple[str, ...]:
    said = [
        f"From now on GuardDuty archives every finding of type {finding_type} that meets all of this, whatever else it "
        "shows, and tells nobody: Firebreak does not hear of it either.",
    ]
    workload, user = criteria.get(f"{_WORKLOAD}.name"), criteria.get(f"{_USER}.username")
    if workload is None:
        space = any(f"{where}.namespace" in criteria for where in (_WORKLOAD, _CALL))
        said.append(f"It names no workload: all of them{' in the namespace' if space else ''} are meant.")
    elif "matches" in workload:
        said.append("Other pods whose names begin alike are meant too.")
    elif criteria.get(f"{_WORKLOAD}.type", {}).get("equals", [""])[0].lower().startswith("pod"):
        said.append("It names one pod: findings about the pods that follow it are not hidden.")
    if user is None or user["equals"][0] in _ANYBODY:
        said.append("It names no identity: whoever does it is meant.")
    said.append("Findings of other types, and those that exist already, stay as they are.")
    return tuple(said)
