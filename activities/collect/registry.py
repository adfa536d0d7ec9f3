"""Every collector, in the order in which it runs within its wave: what disappears first comes first."""

from __future__ import annotations

from typing import Final

from activities.collect import lasting, logs, rights, volatile
from activities.collect.model import Collector, Wave

COLLECTORS: Final = (
    Collector("logs", Wave.VOLATILE, logs.logs),
    Collector("events", Wave.VOLATILE, volatile.events),
    Collector("manifest", Wave.VOLATILE, volatile.manifest),
    Collector("containers", Wave.VOLATILE, volatile.containers),
    Collector("owners", Wave.LASTING, lasting.owners),
    Collector("service-account", Wave.LASTING, lasting.service_account),
    Collector("rights", Wave.LASTING, rights.rights),
    Collector("network-policies", Wave.LASTING, lasting.policies),
    Collector("node", Wave.LASTING, lasting.node),
)
