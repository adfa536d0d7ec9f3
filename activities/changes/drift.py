"""Which held changes do not stand any more: the sweep's part for everything that is no pod.

Objects of the cluster are read again at every sweep, one GET each. Those of AWS are read at every tenth sweep, a tenth
of them each minute: AWS counts every call of the account against limits that it shares with whoever else works there
(IAM's are low and are not to be looked up: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html),
and being throttled while an incident is to be contained costs more than learning of a drift ten minutes later. A change
of AWS that its own incident looks at again is read then anyway. Which tenth is due comes from the clock and the
record's name, so no state is kept; after a sweep that did not take place, its tenth is due ten minutes later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

import structlog

from activities.changes.engine import Engine
from activities.changes.kinds import is_watched, lives_in_cluster
from activities.changes.records import Record, record_name
from errors import FirebreakError, Paused, Throttled, Unavailable

_log = structlog.get_logger(__name__)

TURNS: Final = 10
"""Sweeps until everything of AWS has been read once."""


def drifted(engine: Engine, minute: int, beat: Callable[[], None]) -> tuple[int, dict[str, list[str]]]:
    """How many changes are held, and the incidents whose change does not stand, each with sentences that say which.

    Args:
        engine: Knows the records, and reads the objects.
        minute: Of the clock: decides which records of AWS are due.
        beat: Called once a record.

    Raises:
        Throttled, Unavailable: The API server does not answer. That AWS does not only ends its part of this sweep.
    """
    held, reasons, aws_answers = 0, defaultdict[str, list[str]](list), True
    for record in engine.held.all():
        held += 1
        beat()
        in_cluster = lives_in_cluster(record.change.resource.kind)
        if not in_cluster and not (aws_answers and _due(record, minute)):
            continue
        if not is_watched(record.change.resource.kind):
            continue
        try:
            moved = engine.drifted(record)
        except (Throttled, Unavailable, Paused):
            if in_cluster:
                raise
            aws_answers = False
            continue
        except FirebreakError as error:
            # Not knowing is no drift: an incident that is woken every minute for it could not find out more either.
            _log.warning("a held change cannot be read again", record=record_name(record.change), code=error.code)
            continue
        if moved:
            sentence = f"{record.change.resource}: not as it was left ({record.change.summary})"
            for incident in record.incidents:
                reasons[incident].append(sentence)
    return held, dict(reasons)


def _due(record: Record, minute: int) -> bool:
    return (int(record_name(record.change)[-8:], 16) + minute) % TURNS == 0
