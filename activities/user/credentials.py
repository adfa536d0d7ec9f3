"""The rooms of an identity's credentials and of what is known of it, together: their steps are behind one another."""

from __future__ import annotations

from typing import Final

from activities.steps import StepRoom
from activities.user.detective import InvestigateActivities
from activities.user.evidence import SubjectEvidenceActivities
from activities.user.keys import KeyActivities
from activities.user.pod_roles import PodRoleActivities
from activities.user.review import ReviewActivities
from activities.user.sessions import SessionActivities

CREDENTIAL_ROOMS: Final[tuple[type[StepRoom], ...]] = (
    KeyActivities,
    SessionActivities,
    PodRoleActivities,
    SubjectEvidenceActivities,
    ReviewActivities,
    InvestigateActivities,
)
