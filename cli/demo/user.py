"""The scene of the user path: an IAM user who administers the cluster in three ways, and whose access key leaked."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any, ClassVar

from cli.demo.account import service
from cli.demo.finding import made_up
from cli.demo.scene import Scene
from cli.demo.telling import State
from plans.model import Path

_ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
_RBAC = "rbac.authorization.k8s.io"
_BINDINGS = f"/apis/{_RBAC}/v1/clusterrolebindings"
_MAPS = "/api/v1/namespaces/kube-system/configmaps"


class UserScene(Scene):
    """Guide U3 to U5."""

    path: ClassVar[Path] = Path.USER
    attack: ClassVar[str] = "An access key of somebody who administers the cluster"

    def prepare(self) -> dict[str, Any]:
        """A user with a key, an access entry, a row of aws-auth and a binding."""
        info = self.teller.info
        self._name = name = f"demo-{uuid.uuid4().hex[:8]}"
        self._arn = arn = f"arn:aws:iam::{info.account}:user/{name}"
        self._iam, self._eks = service("iam"), service("eks")
        self._iam.create_user(UserName=name)
        self._key = str(self._iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"])
        self._eks.create_access_entry(
            clusterName=info.cluster, principalArn=arn, username=arn, kubernetesGroups=["deployers"]
        )
        self._eks.associate_access_policy(
            clusterName=info.cluster, principalArn=arn, policyArn=_ADMIN, accessScope={"type": "cluster"}
        )
        self._map_user(arn)
        self.admin.request(
            "POST",
            _BINDINGS,
            {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "edit"},
                "subjects": [{"kind": "User", "apiGroup": _RBAC, "name": who} for who in (arn, "jane")],
            },
        )
        self.teller.tell(f"{name} has an access key, an access entry, a row of aws-auth and a binding")
        return made_up(
            info,
            "Impact:Kubernetes/MaliciousIPCaller",
            user={"Username": arn, "Groups": ["deployers", "system:authenticated"]},
            access_key={
                "AccessKeyId": self._key, "PrincipalId": "AIDADEMO", "UserName": name, "UserType": "IAMUser"
            },
        )  # fmt: skip

    def state(self) -> State:
        """Each way in, and the key."""
        where = {"clusterName": self.teller.info.cluster, "principalArn": self._arn}
        policies = self._eks.list_associated_access_policies(**where)["associatedAccessPolicies"]
        groups = self._eks.describe_access_entry(**where)["accessEntry"].get("kubernetesGroups") or []
        keys = self._iam.list_access_keys(UserName=self._name)["AccessKeyMetadata"]
        key = next((k["Status"] for k in keys if k["AccessKeyId"] == self._key), "deleted")
        binding = self.admin.request("GET", f"{_BINDINGS}/{self._name}").get("subjects") or []
        inline = self._iam.list_user_policies(UserName=self._name)["PolicyNames"]
        return {
            "access entry": f"policies {_names(p['policyArn'] for p in policies)}, groups {_names(groups)}",
            "aws-auth": "has a row" if self._arn in self._users() else "has no row",
            "ClusterRoleBinding": f"binds {_names('the user' if s['name'] == self._arn else s['name'] for s in binding)}",  # noqa: E501
            "access key": str(key),
            "policies of the user": _names(inline),
        }

    def clean(self) -> None:
        """The row that the release has put back, and the user with all that is theirs."""
        name = self._name
        self._write_users(self._users().replace(_row(self._arn), ""))
        self.admin.request("DELETE", f"{_BINDINGS}/{name}")
        self._eks.delete_access_entry(clusterName=self.teller.info.cluster, principalArn=self._arn)
        with suppress(self._iam.exceptions.NoSuchEntityException):
            self._iam.delete_access_key(UserName=name, AccessKeyId=self._key)

    def _map_user(self, arn: str) -> None:
        if not self.admin.exists(f"{_MAPS}/aws-auth"):
            self.admin.request("POST", _MAPS, {"metadata": {"name": "aws-auth"}, "data": {"mapUsers": ""}})
        # An emptied map is written as an empty list, to which no row can be appended as text.
        self._write_users(self._users().replace("[]", "") + _row(arn))

    def _users(self) -> str:
        data = self.admin.request("GET", f"{_MAPS}/aws-auth").get("data") or {}
        return str(data.get("mapUsers") or "")

    def _write_users(self, text: str) -> None:
        body = {"data": {"mapUsers": text}}
        self.admin.request("PATCH", f"{_MAPS}/aws-auth", body, content_type="application/merge-patch+json")


def _row(arn: str) -> str:
    return f"# On call since May.\n- userarn: {arn}\n  username: {arn}\n  groups:\n    - system:masters\n"


def _names(names: Any) -> str:
    return ", ".join(str(n).rpartition("/")[2] for n in names) or "none"
