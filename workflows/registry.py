"""Every workflow that a worker runs and a replayer replays."""

from __future__ import annotations

from workflows.release_containment import ReleaseContainment
from workflows.remediate_finding import RemediateFinding
from workflows.remediate_pods import RemediatePods
from workflows.sweep_containment import SweepContainment

WORKFLOWS = (RemediateFinding, RemediatePods, ReleaseContainment, SweepContainment)
