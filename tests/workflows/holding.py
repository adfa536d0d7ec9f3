"""A runner that can hold a workflow back, so that what arrives meanwhile reaches it all at once, as under load."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

from contracts.names import WorkflowName

_LONGEST = 1.5
"""Seconds. A workflow that does not answer for two is called deadlocked."""


class HoldingRunner(WorkflowRunner):
    """Runs workflows as another runner does, but none of a type that is held."""

    def __init__(self, inner: WorkflowRunner) -> None:
        self._inner = inner
        self._free: dict[str, threading.Event] = {}
        self._held: dict[str, threading.Event] = {}

    def prepare_workflow(self, defn: workflow._Definition) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = self._inner.create_instance(det)
        activate = instance.activate

        def when_free(act: WorkflowActivation) -> WorkflowActivationCompletion:
            name = det.info.workflow_type
            if name in self._free and act.jobs and not all(j.HasField("query_workflow") for j in act.jobs):
                self._held[name].set()
                self._free[name].wait(_LONGEST)
            return activate(act)

        instance.activate = when_free  # type: ignore[method-assign]
        return instance

    @contextmanager
    def hold(self, name: WorkflowName) -> Iterator[threading.Event]:
        """Until the block ends nothing of this type goes on; the event says that one is being held."""
        free = self._free[name.value] = threading.Event()
        self._held[name.value] = threading.Event()
        try:
            yield self._held[name.value]
        finally:
            del self._free[name.value]
            free.set()
