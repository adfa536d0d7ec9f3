"""The scene of the configuration path: anonymous users are taken out of a binding, and nobody else is."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from cli.demo.finding import made_up
from cli.demo.scene import Scene
from cli.demo.telling import State
from plans.model import Path

_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_GROUP = "rbac.authorization.k8s.io"
_WHO = (("User", "system:anonymous"), ("User", "jane"), ("Group", "system:unauthenticated"))


class ConfigurationScene(Scene):
    """Guide C1 and C2."""

    path: ClassVar[Path] = Path.CONFIGURATION
    attack: ClassVar[str] = "A binding that lets everybody read the cluster"

    def prepare(self) -> dict[str, Any]:
        """A ClusterRoleBinding to `view` for anonymous users, and for one person who may stay."""
        self._name = f"demo-everybody-{uuid.uuid4().hex[:8]}"
        subjects = [{"kind": kind, "apiGroup": _GROUP, "name": name} for kind, name in _WHO]
        role = {"apiGroup": _GROUP, "kind": "ClusterRole", "name": "view"}
        self.admin.request("POST", _BINDINGS, {"metadata": {"name": self._name}, "roleRef": role, "subjects": subjects})
        self.teller.tell(f"created ClusterRoleBinding {self._name}: {', '.join(n for _, n in _WHO)} may view")
        return made_up(
            self.teller.info,
            "Policy:Kubernetes/AnonymousAccessGranted",
            user={"Username": "system:anonymous", "Groups": ["system:unauthenticated"]},
        )

    def clean(self) -> None:
        """The binding that the release has opened again goes."""
        self.admin.request("DELETE", f"{_BINDINGS}/{self._name}")

    def state(self) -> State:
        """Whom the binding and Kubernetes' own public one name."""
        return {
            f"ClusterRoleBinding {self._name if name == self._name else name}": self._subjects(name)
            for name in (self._name, "system:public-info-viewer")
        }

    def _subjects(self, name: str) -> str:
        found = self.admin.request("GET", f"{_BINDINGS}/{name}").get("subjects") or []
        return ", ".join(str(s["name"]) for s in found) or "nobody"
