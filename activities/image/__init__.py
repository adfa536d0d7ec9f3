"""A compromised image: refused, kept as evidence, scanned, taken out of its registry (guide I1 to I5)."""

from activities.image.archive import ArchiveActivities
from activities.image.block import BlockActivities
from activities.image.export import ExportActivities
from activities.image.repository import RepositoryActivities
from activities.image.scan import ScanActivities

IMAGE_ROOMS = (BlockActivities, ExportActivities, ScanActivities, ArchiveActivities, RepositoryActivities)

__all__ = ["IMAGE_ROOMS"]
