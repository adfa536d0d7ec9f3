"""Ways into the cluster for the tests to close: access entries, rows of aws-auth, bindings; and steps as workers do."""

from __future__ import annotations

import dataclasses
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from activities.user.access import AccessActivities
from activities.user.disassociate import ProviderActivities
from contracts.common import IncidentKey
from contracts.states import Containment
from contracts.steps import StepOutcome, StepPlan, StepRequest
from devstack.kube import KubeApi, KubeError
from findings.model import AccessKey, Finding
from findings.subject import subjects_of
from plans.model import Gate, Path, Step, Target, TargetKind, Verdict
from tests.assess.support import raw_finding, read
from tests.isolation.support import Killed
from tests.step_rooms import StepRooms

Json = dict[str, Any]
ACCOUNT, CLUSTER = "123456789012", "firebreak-demo"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
MAP = "/api/v1/namespaces/kube-system/configmaps"
POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKS{}Policy"
ADMIN_POLICY = POLICY.format("ClusterAdmin")
PLATFORM = f"arn:aws:iam::{ACCOUNT}:role/platform-admin"
NODE = f"arn:aws:iam::{ACCOUNT}:role/{CLUSTER}-node"
NODE_ROW = f"""\
# Without this row no node joins.
- rolearn: {NODE}
  username: system:node:{{{{EC2PrivateDNSName}}}}
  groups:
    - system:bootstrappers
    - system:nodes
"""


def fresh(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def role_arn(name: str, path: str = "") -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{path}{name}"


def session_of(name: str, session: str = "attacker") -> str:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}"


def user_row(arn: str, username: str, *groups: str, kind: str = "rolearn") -> str:
    listed = "".join(f"    - {g}\n" for g in groups)
    return f"- {kind}: {arn}\n  username: {username}\n" + (f"  groups:\n{listed}" if groups else "")


def incident(name: str = "one") -> IncidentKey:
    return IncidentKey(workflow_id=f"gd/{ACCOUNT}/us-east-1/{fresh(name)}", run_id="run-1")


def about(username: str, *groups: str, key: AccessKey | None = None) -> Finding:
    """A finding about a user of the cluster."""
    user = {"Username": username, "Groups": [*groups, "system:authenticated"]}
    finding = read(raw_finding(fresh("f"), user=user))
    return finding.model_copy(update={"access_key": key}) if key is not None else finding


def request(finding: Finding, key: IncidentKey, step: str = "user.cut_off", **more: Any) -> StepRequest:
    """One step about everybody in a finding; of groups, about those that the cluster does not own."""
    path, _, action = step.partition(".")
    subjects = subjects_of(finding)
    named = [(s.name, s.principal_arn) for s in subjects]
    if action == "cut_off_groups":
        named = [(g, "") for s in subjects for g in s.groups]
    planned = Step(
        step=step,
        path=Path(path),
        action=action,
        targets=tuple(Target(kind=TargetKind.SUBJECT, name=name, uid=uid) for name, uid in named),
        gate=Gate.CONTAIN,
        decision=Verdict.AUTO,
        reason="a test",
        undo="a test",
    )
    return StepRequest(incident=key, step=planned, finding=finding, **more)


class Rooms(StepRooms):
    """The rooms that cut off."""

    kinds = (AccessActivities, ProviderActivities)

    def dying_after(self, mutations: int) -> Rooms:
        """A worker that dies when it is about to change something once more, in the cluster or in the account."""
        left = [mutations]

        def before() -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1

        return Rooms(
            dataclasses.replace(
                self.doors,
                kubernetes=self.doors.kubernetes.guarded_by(before),
                bindings=self.doors.bindings.guarded_by(before),
                aws=self.doors.aws.guarded_by(before),
            )
        )


@dataclass
class Entries:
    """The cluster's access entries, as the account's administrator sees them."""

    eks: Any
    made: list[str] = field(default_factory=list)

    def make(self, arn: str, *, groups: tuple[str, ...] = (), username: str = "", kind: str = "STANDARD") -> str:
        more = {"username": username} if username else {}
        self.eks.create_access_entry(
            clusterName=CLUSTER, principalArn=arn, kubernetesGroups=list(groups), type=kind, **more
        )
        self.made.append(arn)
        return arn

    def grant(self, arn: str, policy: str = "ClusterAdmin", *namespaces: str) -> None:
        scope = {"type": "namespace", "namespaces": list(namespaces)} if namespaces else {"type": "cluster"}
        self.eks.associate_access_policy(
            clusterName=CLUSTER, principalArn=arn, policyArn=POLICY.format(policy), accessScope=scope
        )

    def revoke(self, arn: str, policy: str = "ClusterAdmin") -> None:
        self.eks.disassociate_access_policy(clusterName=CLUSTER, principalArn=arn, policyArn=POLICY.format(policy))

    def state(self, arn: str) -> Json | None:
        """Groups and policies of an entry; None where there is none."""
        try:
            entry = self.eks.describe_access_entry(clusterName=CLUSTER, principalArn=arn)["accessEntry"]
        except ClientError:
            return None
        found = self.eks.list_associated_access_policies(clusterName=CLUSTER, principalArn=arn)
        policies = {p["policyArn"].rpartition("/")[2]: p["accessScope"] for p in found["associatedAccessPolicies"]}
        return {"groups": entry["kubernetesGroups"], "policies": policies, "username": entry["username"]}

    def delete(self, arn: str) -> None:
        self.eks.delete_access_entry(clusterName=CLUSTER, principalArn=arn)

    def close(self) -> None:
        for arn in self.made:
            with suppress(ClientError):
                self.delete(arn)


@dataclass
class AwsAuth:
    """The map aws-auth."""

    admin: KubeApi

    def write(self, roles: str = NODE_ROW, users: str | None = None) -> None:
        data = {"mapRoles": roles, **({"mapUsers": users} if users is not None else {})}
        self.close()
        self.admin.request("POST", MAP, {"metadata": {"name": "aws-auth"}, "data": data})

    def edit(self, section: str, text: str) -> None:
        self.admin.request(
            "PATCH", f"{MAP}/aws-auth", {"data": {section: text}}, content_type="application/merge-patch+json"
        )

    @property
    def data(self) -> dict[str, str]:
        found: dict[str, str] = self.admin.request("GET", f"{MAP}/aws-auth")["data"]
        return found

    def close(self) -> None:
        with suppress(KubeError):
            self.admin.request("DELETE", f"{MAP}/aws-auth")


@dataclass
class Bindings:
    """ClusterRoleBindings, and RoleBindings of a namespace."""

    admin: KubeApi
    made: list[str] = field(default_factory=list)

    def make(self, *subjects: Json, role: str = "view", namespace: str = "") -> str:
        name = fresh("b")
        body = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": list(subjects),
        }
        where = f"namespaces/{namespace}/rolebindings" if namespace else "clusterrolebindings"
        self.admin.request("POST", f"{RBAC}/{where}", body)
        self.made.append(f"{RBAC}/{where}/{name}")
        return self.made[-1]

    def subjects(self, path: str) -> list[Json]:
        found: list[Json] = self.admin.request("GET", path).get("subjects", [])
        return found

    def close(self) -> None:
        for path in self.made:
            with suppress(KubeError):
                self.admin.request("DELETE", path)


def user(name: str) -> Json:
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def group(name: str) -> Json:
    return {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def codes(outcome: StepOutcome | StepPlan) -> list[str]:
    return [f.code for f in outcome.failures]


def contained(outcome: StepOutcome) -> bool:
    return outcome.complete and outcome.containment is Containment.VERIFIED
