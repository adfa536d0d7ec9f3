"""The Temporal server of a stack: the real one, ``temporal server start-dev``, its database in the stack's state."""

from __future__ import annotations

import asyncio
import datetime
import logging

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.service import ConnectConfig, RPCError, ServiceClient

from devstack.processes import Command
from devstack.state import Settings, StackPaths
from devstack.tools import temporal_program

TEMPORAL = "temporal"
NAMESPACE = "default"
RETENTION = datetime.timedelta(days=90)

_SEARCH_ATTRIBUTES = {
    "FirebreakFindingId": "Keyword",
    "FindingType": "Keyword",
    "Cluster": "Keyword",
    "State": "Keyword",
    "Gate": "KeywordList",
    "Severity": "Double",
}
_DYNAMIC_CONFIG = {
    # By default every step costs 50 ms once a few workflows have run.
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "frontend.WorkflowTimeSkippingEnabled": "true",
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": "2",
    # 200 incidents at once are within what the product promises; the default limits are a shared cluster's.
    "frontend.rps": "20000",
    "frontend.namespaceRPS": "20000",
    "frontend.namespaceRPS.visibility": "1000",
    "frontend.namespaceCount": "20000",
    "history.rps": "50000",
    "history.persistenceMaxQPS": "50000",
    "matching.rps": "50000",
    "matching.persistenceMaxQPS": "50000",
    "frontend.persistenceMaxQPS": "50000",
}


def command(paths: StackPaths, settings: Settings) -> Command:
    """The command line of the Temporal server.

    Raises:
        StackError: The temporal binary is missing.
    """
    arguments = [
        str(temporal_program()),
        "server",
        "start-dev",
        "--ip=127.0.0.1",
        f"--port={settings.ports.temporal}",
        f"--ui-port={settings.ports.temporal_ui}",
        f"--db-filename={paths.temporal_db}",
        "--ui-disable-news-fetch",
        "--log-level=warn",
    ]
    for key, value in _DYNAMIC_CONFIG.items():
        arguments += ["--dynamic-config-value", f"{key}={value}"]
    for key, value in _SEARCH_ATTRIBUTES.items():
        arguments += ["--search-attribute", f"{key}={value}"]
    # The CLI reads the user's own profiles, which must not reach this server.
    return Command(TEMPORAL, arguments, {"TEMPORAL_CONFIG_FILE": str(paths.root / "no-profiles.toml")})


def prepare(address: str) -> bool:
    """Set the namespace's retention; False while the server does not answer yet."""
    return asyncio.run(_prepare(address))


async def _prepare(address: str) -> bool:
    try:
        client = await ServiceClient.connect(ConnectConfig(target_host=address))
        if not await client.check_health(timeout=datetime.timedelta(seconds=2)):
            return False
        retention = Duration()
        retention.FromTimedelta(RETENTION)
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(
                namespace=NAMESPACE, config=NamespaceConfig(workflow_execution_retention_ttl=retention)
            )
        )
    except (RPCError, RuntimeError) as error:
        # The SDK raises RuntimeError when the connection itself fails.
        logging.getLogger(__name__).debug("Temporal at %s does not answer yet: %s", address, error)
        return False
    return True
