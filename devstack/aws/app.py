"""One WSGI application for one endpoint URL: our own calls first, everything else to moto.

The service and region of a request stand in the scope of its signature, as for any AWS endpoint. Paths below
``/_firebreak/`` are not AWS's (no bucket name begins with an underscore); through them tests and the demo fill stores.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from devstack.aws.cloudtrail import CloudTrailEvents
from devstack.aws.detective import DetectiveGraphs
from devstack.aws.ecr import LAYER_ROUTE, EcrImages
from devstack.aws.eks import Eks
from devstack.aws.guardduty import GuardDutyFindings
from devstack.aws.malware import MalwareScans
from devstack.aws.registry import AwsError, Operation, Service
from devstack.aws.shapes import ShapeError

ADMIN_PREFIX = "/_firebreak/"
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")

StartResponse = Callable[..., Any]
Environ = dict[str, Any]


class StandIn:
    """The WSGI application."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._findings = GuardDutyFindings()
        self._images = EcrImages()
        self._events = CloudTrailEvents()
        own = (self._events.service(), DetectiveGraphs().service())
        self._malware = MalwareScans(self._findings.check_detector)
        guardduty = self._findings.service()
        self._malware.register(guardduty)
        services = (*own, guardduty, self._images.service(), Eks().service())
        self._services: dict[str, Service] = {service.name: service for service in services}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        if path.startswith(ADMIN_PREFIX):
            return _send(start_response, *self._guarded(lambda: self._admin(environ, path)))
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        service = self._services.get(scope["service"]) if scope else None
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        # As it was sent: an ARN in a path holds slashes of its own, which only their encoding tells from the path's.
        path = str(environ.get("RAW_URI") or path).partition("?")[0]
        operation = service.find(environ["REQUEST_METHOD"], path, target) if service else None
        if operation is None or scope is None:
            answer: Iterable[bytes] = self._moto(environ, start_response)
            return answer
        region = scope["region"]
        return _send(start_response, *self._guarded(lambda: _call(operation, region, environ, path)))

    def _admin(self, environ: Environ, path: str) -> tuple[int, Any]:
        route = (environ["REQUEST_METHOD"], path.removeprefix(ADMIN_PREFIX))
        if route == ("GET", "health"):
            return 200, {"status": "ok"}
        if route[0] == "GET" and route[1].startswith(LAYER_ROUTE):
            return 200, self._images.layer(route[1].removeprefix(LAYER_ROUTE))
        if route == ("POST", "guardduty/findings"):
            body = _body(environ)
            missing = [key for key in ("detector_id", "region", "findings") if key not in body]
            if missing:
                raise AwsError("BadRequest", f"{', '.join(missing)}: missing")
            account = body.get("account", DEFAULT_ACCOUNT_ID)
            try:
                return 200, self._findings.put(account, body["region"], body["detector_id"], body["findings"])
            except ShapeError as error:
                raise AwsError("BadRequest", str(error)) from error
        if route == ("POST", "guardduty/malware"):
            self._malware.infect(str(_body(environ).get("instance_arn", "")))
            return 200, {}
        if route == ("POST", "cloudtrail/events"):
            body = _body(environ)
            try:
                return 200, self._events.put(DEFAULT_ACCOUNT_ID, body.get("region", ""), body.get("events", []))
            except ShapeError as error:
                raise AwsError("BadRequest", str(error)) from error
        raise AwsError("NotFound", f"no route {' '.join(route)}", status=404)

    def _guarded(self, answer: Callable[[], tuple[int, Any]]) -> tuple[int, Any, str]:
        try:
            return (*answer(), "")
        except AwsError as error:
            return error.status, {"message": str(error), "__type": error.kind}, error.code
        except ShapeError as error:
            # Our own answer is wrong. Nobody may take it for one of AWS, so it is a server error; botocore shows it.
            traceback.print_exc()
            return 500, {"message": f"shape: {error}", "__type": "ShapeError"}, "ShapeError"


def _call(operation: Operation, region: str, environ: Environ, path: str) -> tuple[int, Any]:
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    endpoint = f"http://{environ.get('HTTP_HOST', '')}"
    return operation.answer(DEFAULT_ACCOUNT_ID, region, path, query, _body(environ), endpoint)


def _body(environ: Environ) -> dict[str, Any]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    try:
        body = json.loads(environ["wsgi.input"].read(length) or b"{}")
    except ValueError as error:
        raise AwsError("BadRequestException", f"The request is rejected: {error}") from error
    if not isinstance(body, dict):
        raise AwsError("BadRequestException", "The request is rejected: the body is not an object")
    return body


def _send(start_response: StartResponse, status: int, body: Any, error: str) -> list[bytes]:
    # A layer of an image is no JSON: it is what a download URL leads to.
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    headers = [("Content-Type", kind), ("Content-Length", str(len(content)))]
    if error:
        headers.append(("x-amzn-ErrorType", error))
    start_response(f"{status} {'OK' if status < 400 else 'Error'}", headers)
    return [content]
