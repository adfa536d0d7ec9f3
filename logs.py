"""How a worker's log looks: one line an event, JSON for machines or columns for people, never a payload.

The SDK's own loggers go through the same formatter, with the workflow or activity as a field instead of in the text.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
import temporalio.activity
import temporalio.workflow

_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def configure_logs(form: Literal["console", "json"], level: int = logging.INFO) -> None:
    """Configure structlog and the standard library's root logger; the lines go to stderr.

    Args:
        form: JSON lines, or columns for a terminal.
        level: The lowest level that is shown.
    """
    # Without these the SDK repeats the workflow's facts in every message text.
    temporalio.workflow.logger.workflow_info_on_message = False
    temporalio.activity.logger.activity_info_on_message = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: list[structlog.typing.Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_PROCESSORS,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # These two log requests with their headers at DEBUG, and warn about every connection that they replace.
    for name in ("urllib3", "botocore"):
        logging.getLogger(name).setLevel(logging.ERROR)
