"""The door to AWS: one translation of errors. Real sockets, real SDK, answers as the services write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from clients.aws import Aws, translated
from clients.aws.guardduty import condition
from devstack.stack import StackInfo
from errors import Conflict, FirebreakError, Forbidden, InputError, TargetGone, Throttled, Unavailable
from tests.clients.server import reply, serving


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Aws]]:
    """An AWS whose every answer is the given one."""
    with pytest.MonkeyPatch.context() as patch:
        stack = []

        def make(status: int, code: str, **headers: str) -> Aws:
            def answer(handler: BaseHTTPRequestHandler) -> None:
                body = json.dumps({"message": "said so", "__type": code}).encode()
                reply(handler, status, body, x_amzn_ErrorType=code, **headers)

            server = serving(answer)
            patch.setenv("AWS_ENDPOINT_URL", server.__enter__())
            stack.append(server)
            return Aws(region="us-east-1", timeout=(1, 2))

        yield make
        for server in stack:
            server.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "BadRequestException", InputError),
        (400, "ValidationException", InputError),
        (400, "ThrottlingException", Throttled),
        (429, "TooManyRequestsException", Throttled),
        (503, "SlowDown", Throttled),
        (403, "AccessDeniedException", Forbidden),
        (403, "AccessDenied", Forbidden),
        (403, "UnauthorizedOperation", Forbidden),
        (403, "ExpiredTokenException", Forbidden),
        (403, "UnrecognizedClientException", Forbidden),
        (403, "SignatureDoesNotMatch", Forbidden),
        (404, "ResourceNotFoundException", TargetGone),
        (404, "NoSuchBucket", TargetGone),
        (400, "InvalidInstanceID.NotFound", TargetGone),
        (409, "ConflictException", Conflict),
        (412, "PreconditionFailed", Conflict),
        (500, "InternalServerErrorException", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
    ],
)
def test_answers(status: int, code: str, expected: type[FirebreakError], answering: Callable[..., Aws]) -> None:
    aws = answering(status, code)
    with pytest.raises(FirebreakError) as caught:
        aws.guardduty.finding("d" * 32, "f")
    assert type(caught.value) is expected
    assert "GetFindings" in caught.value.message


def test_a_missing_permission_and_old_credentials_say_what_to_do(answering: Callable[..., Aws]) -> None:
    with pytest.raises(Forbidden, match="grant guardduty:GetFindings"):
        answering(403, "AccessDeniedException").guardduty.finding("d", "f")
    with pytest.raises(Forbidden, match="expired"):
        answering(403, "ExpiredTokenException").guardduty.finding("d", "f")


def test_a_filter_that_may_not_be_made_or_read_says_so(
    answering: Callable[..., Aws],
) -> None:
    with pytest.raises(Forbidden, match="grant guardduty:CreateFilter"):
        answering(403, "AccessDeniedException").guardduty.create_suppression("d", "name", "said", {})
    with pytest.raises(Forbidden, match="grant guardduty:GetFilter"):
        answering(403, "AccessDeniedException").guardduty.filter("d", "name")
    # Only an answer that says so is an absent filter; a detector of somebody else is an error.
    with pytest.raises(InputError, match="guardduty:GetFilter"):
        answering(400, "BadRequestException").guardduty.filter("d", "name")


@pytest.mark.parametrize(
    "answer",
    [{"Eq": ["a"]}, {"Equals": ["a"]}, {"Eq": ["a"], "Equals": ["a"], "Neq": []}],
    ids=["old name", "new name", "both"],
)
def test_a_comparison_is_the_same_under_each_of_its_names(answer: dict[str, list[str]]) -> None:
    assert condition(answer) == {"equals": ["a"]}


def test_patience_is_passed_on(answering: Callable[..., Aws]) -> None:
    with pytest.raises(Throttled) as caught:
        answering(400, "ThrottlingException", Retry_After="9").guardduty.finding("d", "f")
    assert caught.value.retry_after == 9


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda h: None) as host:
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", host)
    with pytest.raises(Unavailable, match="guardduty:ListDetectors"):
        Aws(region="us-east-1", timeout=(1, 1)).guardduty.detector_id()


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(Forbidden, match="no AWS credentials"):
        Aws(region="us-east-1").guardduty.detector_id()


def test_no_region_and_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="AWS_DEFAULT_REGION"):
        Aws()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(InputError, match="AWS_PROFILE"):
        Aws()


def test_what_is_not_of_the_sdk_passes() -> None:
    with pytest.raises(ZeroDivisionError), translated("a:B"):
        raise ZeroDivisionError


@pytest.mark.stack
def test_the_detector_and_a_finding_of_the_stand_in(stack: StackInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    aws = Aws()
    assert aws.guardduty.detector_id() == stack.detector_id
    assert aws.guardduty.finding(stack.detector_id, "unknown") is None
    assert aws.region == stack.region
