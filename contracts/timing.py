"""The one table of queues, timeouts and retries: every activity has exactly one row.

`start_to_close` bounds one attempt, `schedule_to_close` all of them; None there means that the workflow decides how
long it goes on. A heartbeat timeout stands where an attempt may take longer than a few seconds, and the activity beats
on real progress only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.common import RetryPolicy

from contracts.names import HOT_QUEUE, SLOW_QUEUE, ActivityName


def _retry(initial: float, maximum: float, attempts: int = 0) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(seconds=initial),
        maximum_interval=timedelta(seconds=maximum),
        backoff_coefficient=2.0,
        maximum_attempts=attempts,
    )


@dataclass(frozen=True)
class Timing:
    """Queue, bounds and retries of one activity."""

    queue: str
    start_to_close: timedelta
    schedule_to_close: timedelta | None = None
    heartbeat: timedelta | None = None
    retry: RetryPolicy = field(default_factory=lambda: _retry(0.2, 5.0))


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _contain() -> Timing:
    """Steps of containment: a few quick attempts, then the workflow goes on with durable backoff."""
    return Timing(HOT_QUEUE, _s(120), heartbeat=_s(30), retry=_retry(0.2, 5, attempts=8))


def _change() -> Timing:
    """Steps behind a person's approval that take seconds."""
    return Timing(HOT_QUEUE, _s(600), _s(1800), _s(30))


def _long() -> Timing:
    """Steps that wait for others: snapshots, drains, rotations, scans."""
    return Timing(SLOW_QUEUE, _s(3600), _s(7200), _s(60), retry=_retry(1, 15))


TIMINGS: dict[ActivityName, Timing] = {
    ActivityName.ASSESS: Timing(HOT_QUEUE, _s(120), heartbeat=_s(30), retry=_retry(0.2, 10)),
    # Containment's first thirty seconds are dense; the workflow goes on with durable backoff afterwards.
    ActivityName.ISOLATE_PODS: Timing(HOT_QUEUE, _s(600), heartbeat=_s(30), retry=_retry(0.2, 5, attempts=8)),
    ActivityName.VERIFY_CONTAINMENT: Timing(HOT_QUEUE, _s(600), heartbeat=_s(30), retry=_retry(0.2, 5, attempts=8)),
    ActivityName.LIFT_HOLD: Timing(HOT_QUEUE, _s(600), _s(900), _s(30)),
    ActivityName.ACQUIRE_LEASE: Timing(HOT_QUEUE, _s(30), retry=_retry(1, 15)),
    ActivityName.RELEASE_LEASE: Timing(HOT_QUEUE, _s(30), _s(300)),
    ActivityName.PLAN_REDEPLOY: Timing(HOT_QUEUE, _s(60), _s(300), _s(30)),
    ActivityName.REDEPLOY_WORKLOADS: Timing(HOT_QUEUE, _s(120), _s(300), _s(30)),
    ActivityName.RESTORE_CHANGES: Timing(HOT_QUEUE, _s(600), _s(1800), _s(30)),
    ActivityName.SWEEP_HELD_OBJECTS: Timing(HOT_QUEUE, _s(50), _s(55), _s(30), retry=_retry(1, 5)),
    ActivityName.PLAN_STEP: Timing(HOT_QUEUE, _s(120), _s(600), _s(30), retry=_retry(0.2, 5)),
    ActivityName.UNBIND_SUBJECT: _contain(),
    ActivityName.REVERT_BINDING: _contain(),
    ActivityName.CUT_OFF_SUBJECT: _contain(),
    ActivityName.DEACTIVATE_KEY: _contain(),
    ActivityName.BLOCK_IMAGE: _contain(),
    ActivityName.CORDON_NODE: _contain(),
    ActivityName.PROTECT_NODE: _contain(),
    ActivityName.ISOLATE_NODE: _contain(),
    ActivityName.CLOSE_SERVICE: _change(),
    ActivityName.REVIEW_ACCOUNT: _change(),
    ActivityName.REVOKE_SESSIONS: _change(),
    ActivityName.CUT_POD_ROLES: _change(),
    ActivityName.RECREATE_ACCOUNT: _change(),
    ActivityName.INVESTIGATE_SUBJECT: _change(),
    ActivityName.DELETE_KEY: _change(),
    ActivityName.DISASSOCIATE_PROVIDER: _change(),
    ActivityName.ARCHIVE_IMAGE: _change(),
    ActivityName.DELETE_IMAGE: _change(),
    ActivityName.DENY_REPOSITORY: _change(),
    ActivityName.REVIEW_ACCOUNTS: _change(),
    ActivityName.ROTATE_ACCOUNTS: _change(),
    ActivityName.REPLACE_PROFILE: _change(),
    ActivityName.SUPPRESS_FINDING: _change(),
    ActivityName.ROTATE_SECRETS: _long(),
    ActivityName.EXPORT_IMAGE: _long(),
    ActivityName.SCAN_IMAGE: _long(),
    ActivityName.COLLECT_SUBJECT: _long(),
    ActivityName.COLLECT_NODE: _long(),
    ActivityName.SNAPSHOT_NODE: _long(),
    ActivityName.DRAIN_NODE: _long(),
    ActivityName.TERMINATE_NODE: _long(),
    ActivityName.WATCH_ROLLOUT: Timing(SLOW_QUEUE, _s(3600), _s(7200), _s(30), retry=_retry(1, 15)),
    ActivityName.DELETE_PODS: Timing(SLOW_QUEUE, _s(900), _s(1800), _s(30)),
    ActivityName.COLLECT_PODS: Timing(SLOW_QUEUE, _s(3600), _s(7200), _s(60), retry=_retry(1, 30)),
    ActivityName.SEAL_EVIDENCE: Timing(SLOW_QUEUE, _s(300), _s(1800), _s(60), retry=_retry(1, 30)),
    ActivityName.WRITE_REPORT: Timing(SLOW_QUEUE, _s(120), _s(900), _s(60), retry=_retry(1, 30)),
}
