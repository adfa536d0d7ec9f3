"""Every workflow that a worker runs and a replayer replays."""

from __future__ import annotations

from workflows.release_containment import ReleaseContainment
from workflows.remediate_configuration import RemediateConfiguration
from workflows.remediate_finding import RemediateFinding
from workflows.remediate_image import RemediateImage
from workflows.remediate_node import RemediateNode
from workflows.remediate_pods import RemediatePods
from workflows.remediate_user import RemediateUser
from workflows.suppress_finding import SuppressFinding
from workflows.sweep_containment import SweepContainment

WORKFLOWS = (
    RemediateFinding,
    RemediateConfiguration,
    RemediateUser,
    RemediatePods,
    RemediateImage,
    RemediateNode,
    ReleaseContainment,
    SuppressFinding,
    SweepContainment,
)
