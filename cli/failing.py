"""Errors as the last line of a command: what went wrong, where, and what to do; never a traceback."""

from __future__ import annotations

import os
import traceback

import typer
from pydantic import JsonValue

from cli.ending import Code
from cli.output import Output
from cli.text import clean
from errors import FirebreakError, Forbidden, InputError, Unavailable

TRACEBACK_VARIABLE = "FIREBREAK_TRACEBACK"


def explain(error: Exception, output: Output) -> Code:
    """Print an error, as one JSON document on stdout in JSON mode, and give the exit code that it means.

    The document is `{"error": {"code", "field", "expected", "found", "message"}}`; the texts are empty where they say
    nothing. It stands on stdout like any other answer, so that a script reads one place.
    """
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    described = describe(error)
    if output.json:
        output.document({"error": described})
    else:
        output.say(f"error: {described['message']}", style="bold red")
    bad = isinstance(error, InputError) or _is_usage(error)
    return Code.BAD_INPUT if bad else Code.FAILED


def describe(error: Exception) -> dict[str, JsonValue]:
    """The five stable keys of an error."""
    if isinstance(error, InputError):
        return _error(error.code, error.message, clean(error.field), clean(error.expected), clean(error.found, 200))
    if isinstance(error, FirebreakError):
        return _error(error.code, error.message)
    if isinstance(error, typer.TyperException):
        return _error("Usage" if _is_usage(error) else "Failed", _usage_message(error))
    if isinstance(error, typer.Abort):
        return _error("Interrupted", "interrupted; nothing more is done")
    if isinstance(error, OSError):
        return _error("Failed", f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    translated = _from_temporal(error)
    if translated is not None:
        return describe(translated)
    hint = f"; set {TRACEBACK_VARIABLE}=1 to see where, and please report it"
    return _error("Internal", f"{type(error).__name__}: {error}{hint}")


def _error(code: str, message: str, field: str = "", expected: str = "", found: str = "") -> dict[str, JsonValue]:
    return {"code": code, "field": field, "expected": expected, "found": found, "message": clean(message, 1_000)}


def _is_usage(error: Exception) -> bool:
    return isinstance(error, typer.TyperException) and error.exit_code == int(Code.BAD_INPUT)


def _usage_message(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    text = error.format_message() or "no command given"
    path = context.command_path if context is not None else "firebreak"
    return f"{text} See `{path} --help`."


def _from_temporal(error: Exception) -> FirebreakError | None:
    """What the Temporal SDK raises, as an error of our own tree; None for anything else."""
    # An error of the SDK can only arrive here when the SDK was imported, which takes a second.
    from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError
    from temporalio.service import RPCError, RPCStatusCode

    if isinstance(error, WorkflowUpdateRPCTimeoutOrCancelledError):
        return Unavailable("Temporal did not answer in time: is a worker running? See `firebreak doctor`")
    if not isinstance(error, RPCError):
        return None
    if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
        return Unavailable(f"Temporal stopped answering ({error.message}); see `firebreak doctor`")
    if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return Forbidden(f"Temporal refused: {error.message}; check TEMPORAL_API_KEY, the certificates and namespace")
    return Unavailable(f"Temporal answered {error.status.name}: {error.message}")
