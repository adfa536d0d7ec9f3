"""The activity `assess`: from a finding to a plan, with everything it rests on. It reads, and reserves budget."""

from activities.assess.assessing import Assessing
from activities.assess.cluster import ClusterReader

__all__ = ["Assessing", "ClusterReader"]
