"""The checks of `doctor` that ask the settings, the policy, GuardDuty and the evidence store."""

from __future__ import annotations

import os
import time
from pathlib import Path

from activities.collect.audit import STREAMS, group_of, is_switched_on
from cli.checks import Check, fail, guarded, ok, skip, warn
from cli.policy_file import load_policy_file
from cli.text import clean, counted
from clients.aws import Aws
from errors import FirebreakError
from evidence.s3 import S3Store
from evidence.store import open_store
from settings import Settings

_OWN = ("account", "region", "cluster")


def check_installation(settings: Settings) -> list[Check]:
    """Everything that needs no cluster and no Temporal."""
    return [
        _settings(settings),
        guarded("policy", "correct the file; `firebreak policy check FILE` says where", lambda: _policy(settings)),
        guarded("guardduty", "name a region and credentials of AWS", lambda: _guardduty(settings)),
        guarded("evidence", "make the store reachable for this identity", lambda: _evidence(settings)),
        _audit_log(settings),
    ]


def _settings(settings: Settings) -> Check:
    missing = [f"FIREBREAK_{name.upper()}" for name in _OWN if not getattr(settings, name)]
    if missing:
        text = f"{', '.join(missing)} not set: no finding can be told to be ours, so none acts on its own"
        return warn("settings", text, "set them to this installation's")
    return ok("settings", f"account {settings.account}, {settings.region}, cluster {clean(settings.cluster, 100)}")


def _policy(settings: Settings) -> Check:
    policy = load_policy_file(settings.policy)
    if settings.policy is None:
        return ok("policy", "the built-in defaults")
    return ok("policy", f"{settings.policy}, {counted(len(policy.rules), 'rule')}")


def _guardduty(settings: Settings) -> Check:
    fix = "enable GuardDuty with EKS protection here, and allow guardduty:ListDetectors and guardduty:GetFindings"
    try:
        aws = Aws(region=settings.region)
        detector = settings.detector_id or aws.guardduty.detector_id()
        # A finding that cannot exist: the answer tells whether findings may be read at all.
        aws.guardduty.finding(detector, "0" * 32)
    except FirebreakError as error:
        return fail("guardduty", f"{error.message}; without it no finding acts on its own", fix)
    return ok("guardduty", f"detector {clean(detector, 60)} in {aws.region}")


def _evidence(settings: Settings) -> Check:
    location = settings.evidence
    if location.startswith("s3://"):
        return _bucket(location, settings)
    folder = Path(location).absolute()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return fail("evidence", f"{folder} cannot be written", "set FIREBREAK_EVIDENCE to a folder or s3://bucket")
    fix = "for more than a trial set FIREBREAK_EVIDENCE to s3://bucket, with Object Lock"
    return warn("evidence", f"local folder {folder}: whoever can write here can remove evidence", fix)


def _bucket(location: str, settings: Settings) -> Check:
    store = open_store(location, Aws(region=settings.region).s3)
    assert isinstance(store, S3Store)
    try:
        next(iter(store.keys("incidents")), None)
    except FirebreakError as error:
        fix = "create the bucket, and allow s3:PutObject, GetObject and ListBucket"
        return fail("evidence", f"{location}: {clean(error, 200)}", fix)
    lock = store.lock.value
    if lock == "none":
        fix = "create a bucket with Object Lock, so that nobody can remove evidence"
        return warn("evidence", f"{location} has no Object Lock", fix)
    return ok("evidence", f"{location}, Object Lock {lock}")


def _audit_log(settings: Settings) -> Check:
    """Whether what a subject did in the cluster can be kept; without it an incident does everything else."""
    if not settings.cluster:
        return skip("audit-log", "the cluster is not named")
    fix = "switch the control-plane log type `audit` on, and allow eks:DescribeCluster and logs:FilterLogEvents"
    group, now = group_of(settings.cluster), int(time.time() * 1000)
    try:
        aws = Aws(region=settings.region)
        if not is_switched_on(aws.eks.cluster(settings.cluster)):
            return warn("audit-log", "the cluster writes no audit log: what a subject did there is not kept", fix)
        # A moment of it: the answer tells whether it may be read at all.
        aws.logs.page(group, streams=STREAMS, pattern="", since=now - 1000, until=now, most=1)
    except FirebreakError as error:
        return warn("audit-log", f"{error.message}; audit events cannot be kept", fix)
    return ok("audit-log", clean(group, 200))
