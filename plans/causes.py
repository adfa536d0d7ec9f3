"""What keeps a step from opening by itself, whatever the policy says (design: What turns `auto` into `approval`).

Each cause is one sentence for whoever approves. Each alone is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from findings.subject import Subject, SubjectKind
from findings.workload import WorkloadKind
from plans.observed import PodFacts
from plans.policy import Policy
from plans.rulings import matches_any
from plans.situation import Situation, clause, listed, words


def of_the_finding(s: Situation) -> list[str]:
    """What holds for every step of the plan. Offline neither GuardDuty nor the budget was asked."""
    causes = []
    if s.finding.cluster is None or not s.finding.cluster.name:
        causes.append("The finding names no cluster.")
    if s.policy.provenance.required:
        if s.finding.archived:
            causes.append("The finding is archived.")
        if s.observed is not None and not s.observed.provenance.confirmed:
            causes.append(f"GuardDuty has not confirmed the finding: {clause(s.observed.provenance.reason)}.")
    if s.observed is not None and s.observed.budget_refusal:
        causes.append(f"The budget does not allow it: {clause(s.observed.budget_refusal)}.")
    return causes


def of_the_pods(s: Situation) -> list[str]:
    """What holds for the pods of the plan: whether they are the right ones, how many, and whose."""
    causes = []
    observed = s.observed
    if observed is not None:
        if observed.uid_mismatch:
            causes.append("Another object, with another uid, stands under the name in the finding.")
        if observed.vanished:
            causes.append("What the finding names is gone; its owner's pods are only proposed.")
        if observed.unresolved:
            causes.append(f"The pods could not be determined for certain: {clause(observed.unresolved)}.")
    most = s.policy.budget.incident_pods
    if s.pod_count > most:
        causes.append(f"{s.pod_count} pods are more than the {most} that one incident may contain by itself.")
    causes += [
        f"Firebreak does not know what kind of workload {words(w.name)} is."
        for w in s.workloads
        if w.kind is WorkloadKind.UNKNOWN
    ]
    causes += protected_namespaces(s.policy, s.pod_namespaces)
    causes += _accounts(s)
    return causes


def protected_namespaces(policy: Policy, namespaces: Iterable[str]) -> list[str]:
    """Whether any of the namespaces is protected."""
    hit = sorted({n for n in namespaces if matches_any(n, policy.protected.namespaces)})
    return [f"Protected: the namespace {listed(hit)}."] if hit else []


def protected_subjects(policy: Policy, subjects: Sequence[Subject]) -> list[str]:
    """Whether any of the identities is protected, or cannot be told from one that is."""
    causes = protected_namespaces(policy, [s.namespace for s in subjects if s.namespace])
    for subject in subjects:
        name = words(subject.name)
        names = (subject.name, subject.username, subject.principal_arn, account_username(subject))
        if is_protected(policy, names) or subject.user_type.lower() == "root":
            causes.append(f"Protected: the principal {name}.")
        if subject.kind is SubjectKind.CLUSTER_ADMIN or "system:masters" in subject.groups:
            causes.append(f"{name} is an administrator of the cluster and may be its last.")
        if "system:nodes" in subject.groups:
            causes.append(f"{name} has the rights of the nodes.")
        if subject.kind is SubjectKind.SERVICE_ACCOUNT and subject.name == "default":
            causes.append(f"{words(subject.namespace)}/default is the account of every pod that names none.")
        if subject.kind is SubjectKind.UNRESOLVED:
            causes.append(f"Only the cluster can tell what kind of identity {name} is.")
    return list(dict.fromkeys(causes))


def is_protected(policy: Policy, names: Iterable[str]) -> bool:
    """Whether one of a principal's names matches a protected glob; IAM does not tell upper from lower case."""
    globs = [g.lower() for g in policy.protected.principals]
    return any(matches_any(n.lower(), globs) for n in names if n)


def account_username(subject: Subject) -> str:
    """The Kubernetes username of a service account; empty for others."""
    if subject.kind is not SubjectKind.SERVICE_ACCOUNT:
        return ""
    return f"system:serviceaccount:{subject.namespace}:{subject.name}"


def protected_accounts(policy: Policy, pods: Iterable[PodFacts]) -> list[str]:
    """Whether any of the pods works through an account that is protected, in a namespace that is not."""
    running = {
        (p.namespace, p.service_account) for p in pods if not matches_any(p.namespace, policy.protected.namespaces)
    }
    hit = sorted(f"{ns}/{name}" for ns, name in running if is_protected(policy, [f"system:serviceaccount:{ns}:{name}"]))
    return [f"Protected: the pods run as {listed(hit)}."] if hit else []


def _accounts(s: Situation) -> list[str]:
    """The service accounts behind the pods: cutting off a pod cuts off whoever works through it."""
    causes = []
    if any(account.name == "default" for account in s.chosen_by_account):
        causes.append("The pods were chosen by the `default` account, which every pod has that names none.")
    running = {(p.namespace, p.service_account) for p in s.pods}
    running |= {(w.namespace, w.service_account) for w in s.workloads if w.service_account}
    running |= {(a.namespace, a.name) for a in s.chosen_by_account}
    hit = sorted(
        f"{ns}/{name}" for ns, name in running if is_protected(s.policy, [f"system:serviceaccount:{ns}:{name}"])
    )
    # An account of a protected namespace is covered by the namespace; saying it twice helps nobody.
    if hit and not protected_namespaces(s.policy, s.pod_namespaces):
        causes.append(f"Protected: the pods run as {listed(hit)}.")
    return causes
