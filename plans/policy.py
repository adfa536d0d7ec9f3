"""The policy: what Firebreak may do on its own, what waits for a person, and what it never does.

`Policy()` is the guide's table of default gates with the design's numbers. A file changes it key by key; keys that
are left out keep their defaults. docs/reference/policy.md describes the file for those who write one.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from plans.digest import canonical_digest
from plans.model import Gate, Verdict
from plans.validation import validate
from plans.yamltext import read_mapping

PROTECTED_NAMESPACES: Final = ("kube-system", "amazon-guardduty", "firebreak", "firebreak-view", "temporal")
"""The cluster's own, GuardDuty's agent's, ours and Temporal's. kube-public and kube-node-lease run nothing of the
cluster's own, so a pod there is as suspicious as anywhere and is not protected."""

PROTECTED_PRINCIPALS: Final = (
    "root",
    "AWSReservedSSO_*",
    "AWSServiceRoleFor*",
    "*break-glass*",
    "*break_glass*",
    "*breakglass*",
    "firebreak*",
    "system:node:*",
    "system:serviceaccount:kube-system:*",
    "system:serviceaccount:amazon-guardduty:*",
    "system:serviceaccount:firebreak:*",
    "system:serviceaccount:temporal:*",
)
"""Globs over a subject's own name, Kubernetes username and IAM ARN; upper and lower case are alike, as in IAM."""

_DURATION: Final = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,8})s)?")
_UNITS: Final = (86_400, 3_600, 60, 1)
_LONGEST: Final = 90 * 86_400


def _parse_duration(value: object, info: ValidationInfo) -> object:
    """Seconds of a text such as `24h`, `90m`, `1d12h` or `30s`. Code may pass seconds, a file may not.

    A bare number in a file does not say whether it means seconds or hours.
    """
    if isinstance(value, int) and not isinstance(value, bool) and info.mode == "python":
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not any(match.groups()):
        raise ValueError("a duration with its unit, such as 24h, 90m or 1d12h")
    return sum(int(n) * unit for n, unit in zip(match.groups(), _UNITS, strict=True) if n)


def _in_range(seconds: int) -> int:
    if not 1 <= seconds <= _LONGEST:
        raise ValueError("a duration between 1s and 90d")
    return seconds


def _one_or_two(approvals: int) -> int:
    if approvals not in (1, 2):
        raise ValueError("1 or 2")
    return approvals


Seconds = Annotated[
    int,
    AfterValidator(_in_range),
    BeforeValidator(_parse_duration),
    PlainSerializer(lambda seconds: f"{seconds}s", return_type=str),
]
Severity = Annotated[float, Field(ge=0.0, le=10.0)]
Glob = Annotated[str, StringConstraints(min_length=1, max_length=600)]
AccountId = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
Approvals = Annotated[int, AfterValidator(_one_or_two)]


class _Section(BaseModel):
    """A part of the policy: frozen, and a key that it does not know is a mistake that is said."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class GateDefaults(_Section):
    """How one gate opens when no rule says otherwise."""

    mode: Verdict = Verdict.APPROVAL
    approvals: Approvals = 1
    """How many different people must approve."""
    deadline: Seconds = 86_400
    """In seconds; in the file with a unit. The same day for every gate: an expired gate keeps its containment and a
    later approval reopens it, so a shorter one would only send people after a gate that nobody closed."""
    auto_from_severity: Severity = 7.0
    """Where the mode is `auto`: the severity below which a person approves all the same."""


class ContainDefaults(GateDefaults):
    """Containment is the one gate that opens by itself."""

    mode: Verdict = Verdict.AUTO


class Gates(_Section):
    """The four gates (guide: Default gates)."""

    contain: ContainDefaults = ContainDefaults()
    credentials: GateDefaults = GateDefaults()
    eradicate: GateDefaults = GateDefaults()
    terminate: GateDefaults = GateDefaults()


class When(_Section):
    """What a rule applies to. Every key that is given must match; a rule without keys matches every step."""

    gates: tuple[Gate, ...] | None = None
    severity_at_least: Severity | None = None
    severity_below: Severity | None = None
    namespaces: tuple[Glob, ...] | None = None
    accounts: tuple[AccountId, ...] | None = None
    clusters: tuple[Glob, ...] | None = None
    finding_types: tuple[Glob, ...] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> When:
        low, high = self.severity_at_least, self.severity_below
        if low is not None and high is not None and low >= high:
            raise ValueError(f"severity_at_least below severity_below, which is {high}")
        for key in ("gates", "namespaces", "accounts", "clusters", "finding_types"):
            if getattr(self, key) == ():
                raise ValueError(f"{key} with at least one value: an empty list would match nothing")
        return self


class Setting(_Section):
    """What a rule sets; what it leaves out, a later rule or the gate's defaults decide."""

    mode: Verdict | None = None
    approvals: Approvals | None = None
    deadline: Seconds | None = None

    @model_validator(mode="after")
    def _sets_something(self) -> Setting:
        if self.mode is None and self.approvals is None and self.deadline is None:
            raise ValueError("at least one of mode, approvals, deadline")
        return self


class Rule(_Section):
    """One rule. For each of mode, approvals and deadline the first rule that matches and sets it decides."""

    when: When = When()
    set: Setting
    reason: Annotated[str, StringConstraints(max_length=300)] = ""
    """One sentence for the plan: why this rule exists."""

    @model_validator(mode="after")
    def _names_what_it_opens(self) -> Rule:
        # Without this, a rule meant for quarantines would also terminate nodes without asking anybody.
        if self.set.mode is Verdict.AUTO and self.when.gates is None:
            raise ValueError("when.gates to name the gates that open by themselves, because mode is auto")
        return self


class HourlyContainments(_Section):
    """Automatic containments in one hour, over all incidents."""

    cluster: Annotated[int, Field(ge=0)] = 20
    namespace: Annotated[int, Field(ge=0)] = 10


class Budget(_Section):
    """How much Firebreak contains on its own, because attackers can cause findings; beyond it a person approves."""

    containments_per_hour: HourlyContainments = HourlyContainments()
    nodes_percent: Annotated[float, Field(ge=0, le=100)] = 10
    """Of the cluster's nodes, at any one time."""
    incident_pods: Annotated[int, Field(ge=0)] = 50
    incident_nodes: Annotated[int, Field(ge=0)] = 3


class ProvenanceTerms(_Section):
    """When a finding acts on its own: GuardDuty itself, asked with our own credentials, must stand behind it."""

    required: bool = True
    max_age: Seconds = 86_400
    """In seconds; in the file with a unit. An older finding is not acted on automatically."""


def _added_to(built_in: tuple[str, ...]) -> AfterValidator:
    # A file that could shorten these lists would be the first thing an intruder with write access to it changes.
    return AfterValidator(lambda given: (*built_in, *(g for g in given if g not in built_in)))


class Protected(_Section):
    """What is never touched without a person. A file adds to the built-in lists and cannot shorten them."""

    namespaces: Annotated[tuple[Glob, ...], _added_to(PROTECTED_NAMESPACES)] = PROTECTED_NAMESPACES
    principals: Annotated[tuple[Glob, ...], _added_to(PROTECTED_PRINCIPALS)] = PROTECTED_PRINCIPALS


class NodeView(_Section):
    """Looking at containers from their node, with a pod of Firebreak's own (docs/decisions/0026)."""

    image: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]{0,299}$")]
    """With a shell and the tools of busybox in it; by digest, if it is not to change under this name."""


class EvidenceTerms(_Section):
    """What is collected beside what the API server knows."""

    node_view: NodeView | None = None


class Policy(_Section):
    """What the operator allows. The defaults are safe to run with."""

    gates: Gates = Gates()
    rules: tuple[Rule, ...] = ()
    budget: Budget = Budget()
    provenance: ProvenanceTerms = ProvenanceTerms()
    protected: Protected = Protected()
    evidence: EvidenceTerms = EvidenceTerms()

    @property
    def node_view_image(self) -> str:
        """The image to look from nodes with, or empty."""
        return self.evidence.node_view.image if self.evidence.node_view is not None else ""

    def gate(self, gate: Gate) -> GateDefaults:
        """The defaults of one gate."""
        defaults: GateDefaults = getattr(self.gates, gate.value)
        return defaults

    @property
    def digest(self) -> str:
        """`sha256:…` of everything that the policy says, the defaults included: two texts that say the same agree."""
        return canonical_digest(self.model_dump(mode="json"))


def load_policy(text: str) -> Policy:
    """Read a policy file's text.

    Args:
        text: YAML 1.2, at most 256 KB; an empty text is the default policy.

    Raises:
        InputError: It does not fit; `field` names the place, such as `rules[0].when.severity_at_least`.
    """
    return validate(Policy, read_mapping(text, "policy"), "policy")
