"""The door to the Kubernetes API: raw JSON in and out, one translation of errors, no object model in between.

The official client's configuration, credentials and connection pool are used; its typed models are not, because
decoding 9,400 pods into them costs 15.9 s and 700 MB against 1.2 s and 139 MB for raw pages (design: Speed).
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import kubernetes.client
import kubernetes.config
import urllib3

from clients.kuberrors import ListExpired, translate
from errors import InputError, Unavailable

JsonObject = dict[str, Any]

POOL_SIZE = 32
"""Kept-alive connections: as many as an activity worker has threads that talk at once."""
PAGE = 500
"""Objects a page, kubectl's own choice: about 1.5 MB of pods."""
_CHUNK = 64 * 1024
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-partial-objects"""
_LIST_HEAD = re.compile(
    rb'\{"kind":"\w+","apiVersion":"[^"\\]+","metadata":\{"resourceVersion":"\d+","continue":"([^"\\]+)"'
)


class Kubernetes:
    """One cluster, seen with one identity. Safe to share between threads.

    Every call has timeouts and none is retried: Temporal owns retrying. `query` values go into the URL as they are.

    All methods may raise Forbidden (401, 403, or refused at admission), Throttled (429), Unavailable (5xx, no
    connection, timeout, TLS) and InputError (the API server cannot make sense of the request).
    """

    def __init__(
        self,
        api_client: kubernetes.client.ApiClient,
        *,
        before_mutation: Callable[[], None] | None = None,
        timeout: tuple[float, float] = (3, 15),
    ) -> None:
        """Act through an API client.

        Args:
            api_client: Configuration, credentials and connection pool.
            before_mutation: Called before every POST, PATCH, PUT and DELETE, and may raise (the pause switch).
            timeout: Seconds to connect, and seconds between two reads.
        """
        self._client = api_client
        self._configuration = api_client.configuration
        self._pool: urllib3.PoolManager = api_client.rest_client.pool_manager
        self._headers = {"Accept": "application/json", "User-Agent": api_client.user_agent}
        self._before_mutation = before_mutation
        self._timeouts = timeout
        self._timeout = urllib3.Timeout(connect=timeout[0], read=timeout[1])
        # An expired token is renewed by a hook that writes into the shared configuration.
        self._credentials = threading.Lock()

    @classmethod
    def from_environment(
        cls,
        *,
        kubeconfig: str = "",
        before_mutation: Callable[[], None] | None = None,
        timeout: tuple[float, float] = (3, 15),
    ) -> Kubernetes:
        """The cluster of a kubeconfig, by default of KUBECONFIG, else the one that this process runs in.

        `~/.kube/config` is not read unless KUBECONFIG names it: a responder must not act on whatever cluster somebody
        looked at last.

        Raises:
            InputError: KUBECONFIG cannot be used, or there is neither KUBECONFIG nor a pod's service account.
        """
        configuration = kubernetes.client.Configuration()
        path = kubeconfig or os.environ.get("KUBECONFIG", "")
        try:
            # The official package is typed, its configuration loader is not.
            if path:
                kubernetes.config.load_kube_config(path, client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                kubernetes.config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        except Exception as error:
            # The loader lets errors of YAML, of files and of its own through; each means that there is no cluster.
            raise InputError("KUBECONFIG", "a usable kubeconfig, or to run in a pod", str(error)) from error
        configuration.connection_pool_maxsize = POOL_SIZE
        client = kubernetes.client.ApiClient(configuration)
        client.user_agent = "firebreak"
        return cls(client, before_mutation=before_mutation, timeout=timeout)

    def guarded_by(self, before_mutation: Callable[[], None]) -> Kubernetes:
        """The same cluster, identity and connections, with a guard before every change.

        The pause switch reads the cluster through the plain door and stands guard at this one.
        """
        return Kubernetes(self._client, before_mutation=before_mutation, timeout=self._timeouts)

    def get(self, path: str, **query: str) -> JsonObject:
        """Read one object (or one page of a list).

        Raises:
            TargetGone: It does not exist, or its kind does not.
        """
        return self._call("GET", path, query)

    def pages(self, path: str, *, limit: int | str = PAGE, **query: str) -> Iterator[list[JsonObject]]:
        """Read a list page by page, never as a whole.

        If the list's snapshot expires between two pages (410), it goes on behind the last object in a newer one, as
        the API server offers: no object comes twice.

        Raises:
            TargetGone: The kind does not exist.
            Conflict: The snapshot expired, and the API server offers no newer one.
        """
        yield from self._pages(path, query | {"limit": str(limit)})

    def items(self, path: str, *, limit: int | str = PAGE, **query: str) -> Iterator[JsonObject]:
        """Read a list object by object, holding one page at a time. Items of lists carry no `kind` of their own.

        Raises:
            TargetGone: The kind does not exist.
        """
        for page in self.pages(path, limit=limit, **query):
            yield from page

    def metadata(self, path: str, **query: str) -> Iterator[JsonObject]:
        """Read a list object by object, nothing but their metadata: the API server leaves out the rest.

        Raises:
            TargetGone: The kind does not exist.
        """
        for page in self._pages(path, query | {"limit": str(PAGE)}, _METADATA):
            yield from page

    def create(self, path: str, body: JsonObject, *, control: bool = False) -> JsonObject:
        """Create an object in a collection, or ask for a review.

        Args:
            path: Of the collection.
            body: The object.
            control: True for what the pause switch does not hold: reviews, and Firebreak's own records.

        Raises:
            Conflict: One of that name exists; or a PodDisruptionBudget forbids an eviction.
            TargetGone: The namespace does not exist or is being terminated.
        """
        return self._mutate("POST", path, body, control=control)

    def patch(self, path: str, operations: Sequence[JsonObject], *, control: bool = False) -> JsonObject:
        """Apply a JSON Patch (RFC 6902) as a whole.

        Raises:
            Conflict: A `test` failed, or a path that must be there is absent.
            TargetGone: The object does not exist.
        """
        return self._mutate(
            "PATCH", path, list(operations), control=control, content_type="application/json-patch+json"
        )

    def replace(self, path: str, body: JsonObject, *, control: bool = False) -> JsonObject:
        """Replace an object; with `metadata.resourceVersion` in the body it is a compare-and-swap.

        Raises:
            Conflict: Somebody changed it first.
            TargetGone: It does not exist.
        """
        return self._mutate("PUT", path, body, control=control)

    def delete(
        self,
        path: str,
        *,
        uid: str,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
        orphan: bool = False,
        control: bool = False,
    ) -> None:
        """Delete one object, and never another one under its name; with `orphan` what it owns stays.

        Raises:
            Conflict: Another uid (or resourceVersion) stands there.
            TargetGone: Nothing stands there.
        """
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        if orphan:
            body["propagationPolicy"] = "Orphan"
        self._mutate("DELETE", path, body, control=control)

    def stream(self, path: str, **query: str) -> Iterator[bytes]:
        """Read an answer of any length in chunks of at most 64 KiB. The first read of the iterator sends the request.

        Raises:
            TargetGone: The object does not exist.
        """
        response = self._send("GET", path, query, accept="*/*")
        try:
            yield from response.stream(_CHUNK)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"GET {path}: broke off: {error}") from error
        finally:
            # What was not read to its end cannot carry another request.
            response.close()
            response.release_conn()

    def _mutate(
        self, method: str, path: str, body: object, *, control: bool, content_type: str = "application/json"
    ) -> JsonObject:
        if self._before_mutation is not None and not control:
            self._before_mutation()
        return self._call(method, path, {}, json.dumps(body).encode(), content_type)

    def _pages(self, path: str, query: Mapping[str, str], accept: str = "") -> Iterator[list[JsonObject]]:
        text: bytes | None = _body(path, self._ask_for_page(path, query, accept))
        while text is not None:
            # The API server writes the next page while this one is decoded, which takes about as long. It is read
            # before anybody works on this one: a caller may take longer than the server waits for its reader.
            token = _token(text)
            following = self._ask_for_page(path, {**query, "continue": token}, accept) if token else None
            page = _decoded("GET", path, text)
            unseen = "" if token else (page.get("metadata") or {}).get("continue")
            if unseen:
                following = self._ask_for_page(path, {**query, "continue": unseen}, accept)
            text = _body(path, following) if following is not None else None
            yield page.get("items") or []

    def _ask_for_page(self, path: str, query: Mapping[str, str], accept: str) -> urllib3.BaseHTTPResponse:
        try:
            return self._send("GET", path, query, accept=accept)
        except ListExpired as expired:
            if not expired.token or expired.token == query.get("continue"):
                raise
            return self._ask_for_page(path, {**query, "continue": expired.token}, accept)

    def _call(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None = None, content_type: str = ""
    ) -> JsonObject:
        response = self._send(method, path, query, body, content_type)
        return _decoded(method, path, _body(path, response, method))

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None = None,
        content_type: str = "",
        accept: str = "",
    ) -> urllib3.BaseHTTPResponse:
        """One request; the answer's body is still to be read."""
        url = self._configuration.host + path + (f"?{urlencode(query)}" if query else "")
        headers = self._headers | self._authorization()
        if content_type:
            headers["Content-Type"] = content_type
        if accept:
            headers["Accept"] = accept
        try:
            response = self._pool.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            if response.status < 300:
                return response
            said = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{method} {path}: {type(error).__name__}: {error}") from error
        raise translate(
            response.status, said, method=method, path=path, retry_after=response.headers.get("Retry-After")
        )

    def _authorization(self) -> dict[str, str]:
        with self._credentials:
            settings = self._configuration.auth_settings().values()
        return {s["key"]: s["value"] for s in settings if s.get("in") == "header" and s.get("value")}


def _body(path: str, response: urllib3.BaseHTTPResponse, method: str = "GET") -> bytes:
    try:
        return response.read()
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"{method} {path}: broke off: {error}") from error


def _decoded(method: str, path: str, text: bytes) -> JsonObject:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Unavailable(f"{method} {path}: the answer is not a JSON object")
    return answer


def _token(text: bytes) -> str:
    """Where the list goes on, seen without decoding the page: the API server writes it in front of the items."""
    match = _LIST_HEAD.match(text)
    return match[1].decode() if match else ""
