"""What the guide asks for, finding type by finding type, written down by hand: paths, and the gates that guard them.

Each type comes with what GuardDuty says of it: who called, and what was deployed or ran. The table says what must be
done then; it is not derived from the catalogue, so that a mistake there shows itself here.
"""

from __future__ import annotations

import pytest

from findings.catalogue import entries
from findings.model import Finding, RoleBinding
from findings.subject import SubjectKind
from plans.model import Gate, Path, Verdict
from plans.planner import make_plan
from plans.policy import Policy
from tests.plans.builders import MOUNTING, PRIVILEGED, USERS, a_finding, a_pod, a_workload, an_observed

ALL = (Gate.CONTAIN, Gate.CREDENTIALS, Gate.ERADICATE, Gate.TERMINATE)
GATES: dict[str, tuple[Gate, ...]] = {
    # Cut off; sessions and secrets; a Detective investigation; the key deleted.
    "user": ALL,
    # Quarantined; redeployed and deleted.
    "pod": (Gate.CONTAIN, Gate.ERADICATE),
    # Refused and quarantined; pods and digest deleted.
    "image": (Gate.CONTAIN, Gate.ERADICATE),
    # Cordoned and protected; accounts rotated and the role taken away; drained and terminated.
    "node": (Gate.CONTAIN, Gate.CREDENTIALS, Gate.TERMINATE),
    # Unbound at once; a Service is only closed behind `eradicate`.
    "configuration": (Gate.CONTAIN,),
    "dashboard": (Gate.ERADICATE,),
    "triage": (),
}

_CALLS = {f"{tactic}:Kubernetes/{who}": "user" for tactic in (
    "CredentialAccess", "DefenseEvasion", "Discovery", "Impact", "Persistence"
) for who in ("MaliciousIPCaller", "MaliciousIPCaller.Custom", "TorIPCaller")}  # fmt: skip
_ANONYMOUS = {f"{tactic}:Kubernetes/SuccessfulAnonymousAccess": "configuration" for tactic in (
    "CredentialAccess", "DefenseEvasion", "Discovery", "Impact", "Persistence"
)}  # fmt: skip
_AUDIT = {
    "CredentialAccess:Kubernetes/AnomalousBehavior.SecretsAccessed": "user",
    "Discovery:Kubernetes/AnomalousBehavior.PermissionChecked": "user",
    "Execution:Kubernetes/AnomalousBehavior.ExecInPod": "user pod",
    "Execution:Kubernetes/AnomalousBehavior.WorkloadDeployed": "user pod image",
    "Execution:Kubernetes/ExecInKubeSystemPod": "user pod",
    "Persistence:Kubernetes/AnomalousBehavior.WorkloadDeployed!ContainerWithSensitiveMount": "user pod image node",
    "Persistence:Kubernetes/ContainerWithSensitiveMount": "user pod image node",
    "PrivilegeEscalation:Kubernetes/AnomalousBehavior.WorkloadDeployed!PrivilegedContainer": "user pod image node",
    "PrivilegeEscalation:Kubernetes/PrivilegedContainer": "user pod image node",
    "PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleBindingCreated": "user configuration",
    "PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleCreated": "user configuration",
    "Policy:Kubernetes/AnonymousAccessGranted": "user configuration",
    "Policy:Kubernetes/AdminAccessToDefaultServiceAccount": "user configuration",
    "Policy:Kubernetes/ExposedDashboard": "user dashboard",
    "Policy:Kubernetes/KubeflowDashboardExposed": "user dashboard",
}
_RUNTIME = {f"{name}": "pod" for name in (
    "Backdoor:Runtime/C&CActivity.B", "Backdoor:Runtime/C&CActivity.B!DNS", "CryptoCurrency:Runtime/BitcoinTool.B",
    "CryptoCurrency:Runtime/BitcoinTool.B!DNS", "DefenseEvasion:Runtime/FilelessExecution",
    "DefenseEvasion:Runtime/ProcessInjection.Proc", "DefenseEvasion:Runtime/ProcessInjection.Ptrace",
    "DefenseEvasion:Runtime/ProcessInjection.VirtualMemoryWrite", "DefenseEvasion:Runtime/PtraceAntiDebugging",
    "DefenseEvasion:Runtime/SuspiciousCommand", "Discovery:Runtime/SuspiciousCommand",
    "Execution:Runtime/NewBinaryExecuted", "Execution:Runtime/NewLibraryLoaded", "Execution:Runtime/ReverseShell",
    "Execution:Runtime/SuspiciousCommand", "Execution:Runtime/SuspiciousShellCreated",
    "Execution:Runtime/SuspiciousTool", "Impact:Runtime/AbusedDomainRequest.Reputation",
    "Impact:Runtime/BitcoinDomainRequest.Reputation", "Impact:Runtime/MaliciousDomainRequest.Reputation",
    "Impact:Runtime/SuspiciousDomainRequest.Reputation", "Persistence:Runtime/SuspiciousCommand",
    "PrivilegeEscalation:Runtime/SuspiciousCommand", "Trojan:Runtime/BlackholeTraffic",
    "Trojan:Runtime/BlackholeTraffic!DNS", "Trojan:Runtime/DGADomainRequest.C!DNS",
    "Trojan:Runtime/DriveBySourceTraffic!DNS", "Trojan:Runtime/DropPoint", "Trojan:Runtime/DropPoint!DNS",
    "Trojan:Runtime/PhishingDomainRequest!DNS", "UnauthorizedAccess:Runtime/TorClient",
    "UnauthorizedAccess:Runtime/TorRelay",
)} | {f"{name}": "pod node" for name in (
    # What reaches the node, or the credentials that it gives to whoever asks from it.
    "DefenseEvasion:Runtime/KernelModuleLoaded", "PrivilegeEscalation:Runtime/CGroupsReleaseAgentModified",
    "PrivilegeEscalation:Runtime/ContainerMountsHostDirectory", "PrivilegeEscalation:Runtime/DockerSocketAccessed",
    "PrivilegeEscalation:Runtime/ElevationToRoot", "PrivilegeEscalation:Runtime/RuncContainerEscape",
    "PrivilegeEscalation:Runtime/UserfaultfdUsage", "UnauthorizedAccess:Runtime/MetadataDNSRebind",
)} | {f"{name}": "pod image" for name in (
    # What the image itself brought along.
    "Execution:Runtime/MaliciousFileExecuted", "Impact:Runtime/CryptoMinerExecuted",
    "Execution:Kubernetes/MaliciousFile", "Execution:Kubernetes/SuspiciousFile",
)}  # fmt: skip
_ELSEWHERE = {f"{name}": "triage pod" for name in (
    "Execution:Container/MaliciousFile", "Execution:Container/SuspiciousFile", "Execution:EC2/MaliciousFile",
    "Execution:EC2/SuspiciousFile", "Execution:ECS/MaliciousFile", "Execution:ECS/SuspiciousFile",
    "AttackSequence:ECS/CompromisedCluster",
)}  # fmt: skip
GUIDE = {**_CALLS, **_ANONYMOUS, **_AUDIT, **_RUNTIME, **_ELSEWHERE}
SEQUENCE = "AttackSequence:EKS/CompromisedCluster"
"""Its parts decide; test_routing and test_sequences look at it."""


def example(type_: str) -> Finding:
    """A finding of the type with what the guide says that it carries."""
    caller = SubjectKind.ANONYMOUS if "SuccessfulAnonymousAccess" in type_ else SubjectKind.IAM_USER
    user, key = USERS[caller]
    audit = ":Kubernetes/" in type_ and "File" not in type_
    fields: dict[str, object] = {"type": type_, "user": user if audit else None, "access_key": key if audit else None}
    if "PrivilegedContainer" in type_:
        fields["workload"] = PRIVILEGED
    elif "SensitiveMount" in type_:
        fields["workload"] = MOUNTING
    elif audit and "Exec" not in type_ and "Deployed" not in type_:
        fields["workload"] = None
    else:
        fields["workload"] = a_workload()
    if "AnomalousBehavior.Role" in type_ or "AnonymousAccessGranted" in type_ or "AdminAccess" in type_:
        fields["role_binding"] = RoleBinding(kind="ClusterRoleBinding", name="opened", uid="b-1")
    return a_finding(**fields)


def test_every_type_of_the_catalogue_stands_in_the_table() -> None:
    assert {e.type for e in entries()} == {*GUIDE, SEQUENCE}


@pytest.mark.parametrize("type_", GUIDE)
def test_the_paths_are_those_that_the_guide_asks_for(type_: str) -> None:
    finding = example(type_)
    observed = an_observed(pods=(a_pod(),)) if finding.workload is not None else an_observed(pods=())
    plan = make_plan(finding, observed, Policy(), unbuilt=frozenset())
    expected = {"configuration" if p == "dashboard" else p for p in GUIDE[type_].split()}
    assert {p.value for p in plan.paths} == expected
    for word in GUIDE[type_].split():
        path = Path("configuration" if word == "dashboard" else word)
        guarded = {s.gate for s in plan.steps_of(path) if s.gate and s.decision is not Verdict.NEVER}
        if path is not Path.NODE:
            # What can be done to a node depends on what EC2 knows of it, which nobody was asked here.
            assert set(GATES[word]) <= guarded, (word, guarded)
        assert guarded <= set(ALL)


@pytest.mark.parametrize("type_", [t for t, paths in GUIDE.items() if "configuration" in paths])
def test_a_configuration_finding_names_its_binding_or_everybody(type_: str) -> None:
    plan = make_plan(example(type_), an_observed(pods=()), Policy(), unbuilt=frozenset())
    actions = {s.action for s in plan.steps_of(Path.CONFIGURATION) if s.gate is not None}
    wanted = {
        "AnomalousBehavior.Role": "revert_binding",
        "AdminAccess": "unbind_default_account",
        "Anonymous": "unbind_anonymous",
    }
    (action,) = [a for words, a in wanted.items() if words in type_]
    assert actions == {action}
