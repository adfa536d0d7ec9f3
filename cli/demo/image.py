"""The scene of the image path: an image with malware that runs in two namespaces and lies in ECR."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, ClassVar

from cli.demo.account import service
from cli.demo.finding import made_up
from cli.demo.scene import Scene
from cli.demo.telling import State
from contracts.names import QUARANTINED_LABEL
from plans.model import Path

_OCI = "application/vnd.oci.image"
_SPACES = ("demo-web", "demo-batch")


class ImageScene(Scene):
    """Guide I1 to I5."""

    path: ClassVar[Path] = Path.IMAGE
    attack: ClassVar[str] = "An image with malware, which two namespaces run"

    def prepare(self) -> dict[str, Any]:
        """A repository with a bad and a fixed image, and a workload in each of two namespaces that runs the bad one."""
        from devstack.processes import poll

        self._ecr = service("ecr")
        self._repository = f"demo/{uuid.uuid4().hex[:8]}"
        uri = self._ecr.create_repository(repositoryName=self._repository)["repository"]["repositoryUri"]
        self._bad, fixed = self._push("1.0"), self._push("1.1")
        self._image, self.fixed_image = f"{uri}@{self._bad}", f"{uri}@{fixed}"
        self.clean()
        for space in _SPACES:
            self.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
            self.admin.request("POST", f"/apis/apps/v1/namespaces/{space}/deployments", _deployment(self._image))
        poll("the pods to be ready", lambda: all(self._ready(s) for s in _SPACES), 60.0)
        web = self.admin.request("GET", f"/apis/apps/v1/namespaces/{_SPACES[0]}/deployments/app")
        self.teller.tell(f"{' and '.join(_SPACES)} run {self._repository}@{self._bad[:19]}…")
        workload = {
            "Name": "app", "Type": "deployments", "Namespace": _SPACES[0], "Uid": web["metadata"]["uid"],
            "Containers": [{"Name": "app", "Image": self._image}],
        }  # fmt: skip
        return made_up(self.teller.info, "Execution:Kubernetes/MaliciousFile", workload=workload)

    def state(self) -> State:
        """Where the image runs, whether it is let in, and where it lies."""
        found = {f"namespace {space}": self._pods_of(space) for space in _SPACES}
        found["a new pod with it"] = "admitted" if self._admitted() else "refused"
        found["ECR"] = self._status()
        return found

    def clean(self) -> None:
        """The namespaces of an earlier play go, and whoever waits for it waits until they are gone."""
        from devstack.kube import KubeError
        from devstack.processes import poll

        for space in _SPACES:
            if self.admin.exists(f"/api/v1/namespaces/{space}"):
                self.admin.request("DELETE", f"/api/v1/namespaces/{space}")
        try:
            poll(
                "the namespaces to go",
                lambda: not any(self.admin.exists(f"/api/v1/namespaces/{s}") for s in _SPACES),
                60.0,
            )
        except KubeError:
            return

    def _pods(self, space: str) -> list[dict[str, Any]]:
        items = self.admin.request("GET", f"/api/v1/namespaces/{space}/pods")["items"]
        return [p for p in items if "deletionTimestamp" not in p["metadata"]]

    def _ready(self, space: str) -> bool:
        pods = self._pods(space)
        return len(pods) == 1 and any(
            c["type"] == "Ready" and c["status"] == "True" for c in pods[0]["status"].get("conditions", [])
        )

    def _pods_of(self, space: str) -> str:
        pods = self._pods(space)
        cut = sum(QUARANTINED_LABEL in (p["metadata"].get("labels") or {}) for p in pods)
        names = {self._word(p["spec"]["containers"][0]["image"]) for p in pods}
        return f"runs {', '.join(sorted(names)) or 'nothing'}, {cut} of {len(pods)} cut off"

    def _word(self, image: str) -> str:
        return "the bad image" if image == self._image else "the fixed image"

    def _admitted(self) -> bool:
        """Whether the API server would let a pod with the image in; it is only asked, nothing is made."""
        from devstack.kube import KubeError

        pod = {"metadata": {"name": "asked"}, "spec": {"containers": [{"name": "app", "image": self._image}]}}
        try:
            self.admin.request("POST", "/api/v1/namespaces/default/pods", pod, query={"dryRun": "All"})
        except KubeError:
            return False
        return True

    def _status(self) -> str:
        asked = {"repositoryName": self._repository, "filter": {"imageStatus": "ANY"}}
        images = self._ecr.describe_images(**asked)["imageDetails"]
        return next((str(i["imageStatus"]).lower() for i in images if i["imageDigest"] == self._bad), "deleted")

    def _push(self, tag: str) -> str:
        """An image of one layer; returns its digest."""
        layer, config = f"layer {uuid.uuid4()}".encode() * 100, json.dumps({"salt": uuid.uuid4().hex}).encode()
        digests = {data: self._upload(data) for data in (layer, config)}
        manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": {"mediaType": f"{_OCI}.config.v1+json", "digest": digests[config], "size": len(config)},
            "layers": [
                {"mediaType": f"{_OCI}.layer.v1.tar+gzip", "digest": digests[layer], "size": len(layer)}
            ],
        })  # fmt: skip
        digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        self._ecr.put_image(
            repositoryName=self._repository, imageManifest=manifest, imageTag=tag, imageDigest=digest,
            imageManifestMediaType=f"{_OCI}.manifest.v1+json",
        )  # fmt: skip
        return digest

    def _upload(self, data: bytes) -> str:
        where = {"repositoryName": self._repository}
        upload = self._ecr.initiate_layer_upload(**where)["uploadId"]
        self._ecr.upload_layer_part(
            **where, uploadId=upload, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data
        )
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return str(self._ecr.complete_layer_upload(**where, uploadId=upload, layerDigests=[digest])["layerDigest"])


def _deployment(image: str) -> dict[str, Any]:
    labels = {"app": "app"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "app"}, "spec": spec}
