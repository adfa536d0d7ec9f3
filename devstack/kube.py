"""A small door to the API server for the stack's own use: raw JSON in, raw JSON out.

The product's client lives in clients/. This one exists because the stack must act as the cluster's administrator, needs
no typed objects, and starts in milliseconds.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from devstack.state import StackError

_FIELD_MANAGER = "firebreak-install"


class KubeError(StackError):
    """The API server refused a request; ``status`` is the HTTP status and ``reason`` Kubernetes' own word for it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{status} {reason}: {message}")


class KubeApi:
    """Requests to one API server as one user."""

    def __init__(self, server: str, token: str, authority: str) -> None:
        self._server = server
        self._pool = urllib3.PoolManager(
            ssl_context=ssl.create_default_context(cadata=authority),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=urllib3.Timeout(connect=2, read=30),
            retries=False,
            maxsize=8,
        )

    @classmethod
    def from_kubeconfig(cls, path: Path) -> KubeApi:
        """The door for the user of a kubeconfig that ``identities.write_kubeconfig`` wrote."""
        config = json.loads(path.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(cluster["server"], config["users"][0]["user"]["token"], authority)

    def request(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send one request and decode the answer; text that is not JSON comes back as ``{"text": …}``.

        Raises:
            KubeError: The server answered with a status of 400 or more.
            StackError: It did not answer.
        """
        url = f"{self._server}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        try:
            response = self._pool.request(method, url, body=data, headers=self._headers(content_type))
        except urllib3.exceptions.HTTPError as error:
            raise StackError(f"{method} {path}: {error}") from error
        text = response.data.decode(errors="replace")
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if response.status >= 400:
            status = answer if isinstance(answer, dict) else {}
            raise KubeError(response.status, str(status.get("reason", "")), str(status.get("message", text)))
        return answer if isinstance(answer, dict) else {"text": text}

    def apply(self, path: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create or update one object by server-side apply; ``path`` is the object's own."""
        return self.request(
            "PATCH",
            path,
            manifest,
            query={"fieldManager": _FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
        )

    def exists(self, path: str) -> bool:
        """Whether the object is there and the server answers at all."""
        try:
            self.request("GET", path)
        except StackError:
            return False
        return True

    def _headers(self, content_type: str) -> dict[str, str]:
        return {**self._pool.headers, "Content-Type": content_type}
