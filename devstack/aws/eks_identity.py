"""Who else gets into a cluster, or out of it: identity provider configurations, and Pod Identity associations.

A configuration is associated and disassociated in the background. Here the first look finds it on its way
(CREATING, DELETING), the next one finds it arrived, so that tests need no clock.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from devstack.aws.eks_clusters import Clusters, in_use, invalid, missing, page, refused
from devstack.aws.registry import Call, Handler

_UPDATE_PARAMETER: Final = "IdentityProviderConfig"


class IdentityProviders:
    """The OIDC configurations of every cluster, by name. EKS allows one a cluster."""

    def __init__(self) -> None:
        self.clusters = Clusters()

    def handlers(self) -> Mapping[str, Handler]:
        """By operation."""
        return {
            "ListIdentityProviderConfigs": self._list,
            "DescribeIdentityProviderConfig": self._describe,
            "AssociateIdentityProviderConfig": self._associate,
            "DisassociateIdentityProviderConfig": self._disassociate,
        }

    def _list(self, call: Call) -> dict[str, Any]:
        shown, more = page(call, [{"type": "oidc", "name": name} for name in self.clusters.of(call)])
        return {"identityProviderConfigs": shown, **more}

    def _describe(self, call: Call) -> dict[str, Any]:
        config = self._config(call)
        answer = dict(config)
        if config["status"] == "CREATING":
            config["status"] = "ACTIVE"
        elif config["status"] == "DELETING":
            del self.clusters.of(call)[config["identityProviderConfigName"]]
        return {"identityProviderConfig": {"oidc": answer}}

    def _associate(self, call: Call) -> dict[str, Any]:
        asked, configs = dict(call.parameters["oidc"]), self.clusters.of(call)
        name, cluster = asked["identityProviderConfigName"], call.parameters["clusterName"]
        if configs:
            raise in_use("An identity provider is already associated with the cluster.")
        if not asked["issuerUrl"].startswith("https://"):
            raise invalid("The issuerUrl must begin with https://.")
        # https://docs.aws.amazon.com/eks/latest/APIReference/API_OidcIdentityProviderConfigRequest.html
        claim = asked.setdefault("usernameClaim", "sub")
        asked.setdefault("usernamePrefix", "" if claim == "email" else f"{asked['issuerUrl']}#")
        if asked["usernamePrefix"] == "-":
            asked["usernamePrefix"] = ""
        where = f"arn:aws:eks:{call.region}:{call.account}:identityproviderconfig"
        tags = dict(call.parameters.get("tags", {}))
        configs[name] = asked | {
            "identityProviderConfigArn": f"{where}/{cluster}/oidc/{name}/{secrets.token_hex(8)}",
            "clusterName": cluster,
            "tags": tags,
            "status": "CREATING",
        }
        return {"update": _update("AssociateIdentityProviderConfig", name), "tags": tags}

    def _disassociate(self, call: Call) -> dict[str, Any]:
        config = self._config(call)
        if config["status"] != "ACTIVE":
            raise refused(f"The identity provider config is {config['status']}.")
        config["status"] = "DELETING"
        return {"update": _update("DisassociateIdentityProviderConfig", config["identityProviderConfigName"])}

    def _config(self, call: Call) -> dict[str, Any]:
        asked = call.parameters["identityProviderConfig"]
        found: dict[str, Any] | None = self.clusters.of(call).get(asked["name"])
        if found is None or asked["type"] != "oidc":
            raise missing("Identity provider config not found.")
        return found


class PodIdentities:
    """The associations of every cluster, by id: which role the pods of a service account get."""

    def __init__(self) -> None:
        self.clusters = Clusters()

    def handlers(self) -> Mapping[str, Handler]:
        """By operation."""
        return {
            "ListPodIdentityAssociations": self._list,
            "DescribePodIdentityAssociation": lambda call: {"association": dict(self._association(call))},
            "CreatePodIdentityAssociation": self._create,
            "UpdatePodIdentityAssociation": self._update,
            "DeletePodIdentityAssociation": self._delete,
        }

    def _list(self, call: Call) -> dict[str, Any]:
        asked = {k: v for k, v in call.parameters.items() if k in ("namespace", "serviceAccount")}
        found = [a for a in self.clusters.of(call).values() if all(a[k] == v for k, v in asked.items())]
        shown, more = page(call, found)
        summary = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")
        return {"associations": [{k: a[k] for k in summary} for a in shown], **more}

    def _create(self, call: Call) -> dict[str, Any]:
        asked, associations = dict(call.parameters), self.clusters.of(call)
        account = (asked["namespace"], asked["serviceAccount"])
        if any((a["namespace"], a["serviceAccount"]) == account for a in associations.values()):
            raise in_use("Association already exists.")
        asked.pop("clientRequestToken", None)
        number, now = f"a-{secrets.token_hex(9)[:17]}", datetime.now(UTC)
        where = f"arn:aws:eks:{call.region}:{call.account}:podidentityassociation"
        associations[number] = asked | {
            "associationArn": f"{where}/{asked['clusterName']}/{number}",
            "associationId": number,
            "tags": dict(asked.get("tags", {})),
            "createdAt": now,
            "modifiedAt": now,
        }
        return {"association": dict(associations[number])}

    def _update(self, call: Call) -> dict[str, Any]:
        association = self._association(call)
        changed = ("roleArn", "disableSessionTags", "targetRoleArn", "policy")
        association.update({k: v for k, v in call.parameters.items() if k in changed})
        association["modifiedAt"] = datetime.now(UTC)
        return {"association": dict(association)}

    def _delete(self, call: Call) -> dict[str, Any]:
        association = self._association(call)
        del self.clusters.of(call)[association["associationId"]]
        return {"association": dict(association)}

    def _association(self, call: Call) -> dict[str, Any]:
        found: dict[str, Any] | None = self.clusters.of(call).get(call.parameters["associationId"])
        if found is None:
            raise missing("The specified association could not be found.")
        return found


def _update(kind: str, name: str) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(16),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": _UPDATE_PARAMETER, "value": f'[{{"type":"oidc","name":"{name}"}}]'}],
        "createdAt": datetime.now(UTC),
        "errors": [],
    }
