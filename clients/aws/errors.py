"""The one place where the AWS SDK's exceptions become our own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.exceptions

from errors import Conflict, FirebreakError, Forbidden, InputError, TargetGone, Throttled, Unavailable

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
