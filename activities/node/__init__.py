"""Nodes: cordoned, protected, isolated, collected, drained and terminated (guide N1 to N4, P9)."""

from activities.node.accounts import AccountReviewActivities
from activities.node.cordon import CordonActivities
from activities.node.drain import DrainActivities
from activities.node.evidence import NodeEvidenceActivities
from activities.node.isolate import IsolateNodeActivities
from activities.node.profile import ProfileActivities
from activities.node.snapshot import SnapshotActivities
from activities.node.terminate import TerminateActivities

NODE_ROOMS = (
    CordonActivities,
    IsolateNodeActivities,
    NodeEvidenceActivities,
    AccountReviewActivities,
    SnapshotActivities,
    ProfileActivities,
    DrainActivities,
    TerminateActivities,
)
"""What carries out the steps of the node path, but the rotation of accounts, which accounts/ does."""
