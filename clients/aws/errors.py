"""The door to AWS: clients made once, one translation of errors.

Credentials, region and endpoint come from the AWS SDK's own environment (`AWS_ENDPOINT_URL` points the embedded stack's
stand-in). A boto3 client may be shared between threads, a session may not:
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
from botocore.config import Config

from errors import Conflict, FirebreakError, Forbidden, InputError, TargetGone, Throttled, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_guardduty import GuardDutyClient
    from mypy_boto3_s3 import S3Client

_THROTTLING = frozenset(
    {
        "RequestLimitExceeded",
        "SlowDown",
        "TooManyRequestsException",
        "LimitExceededException",
        "PriorRequestNotComplete",
    }
)
_STALE = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_IDENTITY = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"})
_CONFLICTS = frozenset(
    {"ConflictException", "PreconditionFailed", "ConditionalRequestConflict", "ResourceInUseException"}
)
_GONE = re.compile(r"^(NoSuch\w+|\w*NotFound(Exception)?|\w*\.NotFound|404)$")
_DENIED = re.compile(r"^(AccessDenied\w*|Unauthorized\w*|NotAuthorized|Forbidden|SignatureDoesNotMatch|403)$")
_INVALID = re.compile(r"^(Validation\w*|Invalid\w+|BadRequest\w*|Malformed\w+|Missing\w+)$")


class Aws:
    """The services of one account and region that Firebreak asks. Safe to share between threads."""

    def __init__(self, *, region: str = "", timeout: tuple[float, float] = (3, 15)) -> None:
        """Make the clients; nothing is asked yet.

        Args:
            region: The region; that of the environment when empty.
            timeout: Seconds to connect, and seconds between two reads.

        Raises:
            InputError: The environment names no region, or a profile that does not exist.
        """
        # Temporal owns retrying: a second try of the SDK's only bridges a connection that died while it was idle.
        config = Config(
            connect_timeout=timeout[0],
            read_timeout=timeout[1],
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=32,
            user_agent_extra="firebreak",
        )
        with translated("AWS configuration"):
            session = boto3.Session(region_name=region or None)
            # Containment waits for GuardDuty's word, and if there is none a person is asked: better soon than late.
            soon = config.merge(Config(connect_timeout=min(2, timeout[0]), read_timeout=min(5, timeout[1])))
            self._guardduty: GuardDutyClient = session.client("guardduty", config=soon)
            self._s3: S3Client = session.client("s3", config=config)
        self._detector = ""

    @property
    def region(self) -> str:
        """The region in which the services are asked."""
        return self._guardduty.meta.region_name

    @property
    def s3(self) -> S3Client:
        """The S3 client, for the evidence store, which translates the errors of its own calls."""
        return self._s3

    def detector_id(self) -> str:
        """The detector of the region, found once: GuardDuty allows one in each.

        Raises:
            TargetGone: GuardDuty is not enabled here.
            Forbidden, Throttled, Unavailable: As for every call.
        """
        if not self._detector:
            with translated("guardduty:ListDetectors"):
                found = self._guardduty.list_detectors(MaxResults=1)["DetectorIds"]
            if not found:
                raise TargetGone(f"GuardDuty has no detector in {self.region}")
            self._detector = found[0]
        return self._detector

    def guardduty_finding(self, detector_id: str, finding_id: str) -> dict[str, Any] | None:
        """One finding as GuardDuty has it now, in the shape of GetFindings; None when it does not know the id.

        Raises:
            TargetGone: The detector does not exist.
            Forbidden, Throttled, Unavailable: As for every call.
        """
        with translated("guardduty:GetFindings"):
            findings = self._guardduty.get_findings(DetectorId=detector_id, FindingIds=[finding_id])["Findings"]
        return next((dict(f) for f in findings if f.get("Id") == finding_id), None)


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turn the SDK's exceptions into our own: the one place where it is done.

    Args:
        operation: What is being asked, for the message: `service:Operation`.

    Raises:
        FirebreakError: Of the tree; the SDK's exception is its cause.
    """
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _of_answer(operation, error) from error
    except botocore.exceptions.BotoCoreError as error:
        raise _of_sdk(operation, error) from error


def _of_answer(operation: str, error: botocore.exceptions.ClientError) -> FirebreakError:
    """For an answer of the service. Codes are listed in each service's API reference under Common Errors."""
    answer = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"{operation}: {code} {answer.get('Error', {}).get('Message', '')}"
    if "Throttl" in code or code in _THROTTLING or status == 429:
        return Throttled(message, _retry_after(answer))
    if code in _STALE:
        return Forbidden(f"{message} (the credentials have expired: renew them, or check the clock)")
    if code in _UNKNOWN_IDENTITY:
        return Forbidden(f"{message} (AWS does not know these credentials)")
    if _DENIED.match(code):
        return Forbidden(f"{message} (grant {operation} to Firebreak's identity)")
    if _GONE.match(code):
        return TargetGone(message)
    if code in _CONFLICTS or status in (409, 412):
        return Conflict(message)
    if status >= 500 or not status:
        return Unavailable(message)
    # GuardDuty answers BadRequestException for a detector of another account as well as for a malformed one.
    return InputError(operation, "a request that AWS accepts", f"{code} {answer.get('Error', {}).get('Message', '')}")


def _of_sdk(operation: str, error: botocore.exceptions.BotoCoreError) -> FirebreakError:
    """For what went wrong before or instead of an answer."""
    if isinstance(error, (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError)):
        return Forbidden(f"{operation}: {error} (no AWS credentials: a role for the pod, or AWS_ACCESS_KEY_ID)")
    if isinstance(
        error,
        (
            botocore.exceptions.TokenRetrievalError,
            botocore.exceptions.SSOTokenLoadError,
            botocore.exceptions.UnauthorizedSSOTokenError,
        ),
    ):
        return Forbidden(f"{operation}: {error} (sign in again)")
    if isinstance(error, botocore.exceptions.NoRegionError):
        return InputError("AWS_DEFAULT_REGION", "a region")
    if isinstance(error, botocore.exceptions.ProfileNotFound):
        return InputError("AWS_PROFILE", "a profile that exists", str(error))
    if isinstance(error, (botocore.exceptions.ParamValidationError, botocore.exceptions.ValidationError)):
        return InputError(operation, "valid parameters", str(error))
    return Unavailable(f"{operation}: {error}")


def _retry_after(answer: Any) -> float:
    header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    try:
        return min(60.0, max(0.1, float(header)))
    except ValueError:
        return 1.0
