"""The order of an incident, what it waits for, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from contracts.activities import CollectResult, RestoreResult, RolloutResult, StepResult
from contracts.changes import deny_all_change
from contracts.common import Failure
from contracts.incidents import DecisionAnswer, IncidentView, Observation, ReleaseOrder, RetryRequest
from contracts.names import ActivityName, Handler
from contracts.states import Containment, GateState, IncidentState, ObservationKind, StepState
from plans.policy import load_policy
from tests.workflows.conftest import Incident
from tests.workflows.fakes import IMAGE, Script, fail, incomplete, observed, verified

Start = Callable[..., Awaitable[Incident]]


def gate(view: IncidentView, name: str) -> GateState:
    return next(g.state for g in view.gates if g.gate == name)


def step(view: IncidentView, name: str) -> StepState | None:
    return next((s.state for s in view.steps if s.step == name), None)


def waiting(view: IncidentView) -> bool:
    return view.state is IncidentState.AWAITING_APPROVAL and step(view, "pod.collect") is StepState.DONE


async def test_contains_collects_waits_and_remediates(start: Start) -> None:
    incident = await start()
    view = await incident.until(waiting)
    assert view.containment is Containment.VERIFIED
    assert view.timings.contained is not None
    assert gate(view, "contain") is GateState.OPEN
    assert not incident.script.called(ActivityName.REDEPLOY_WORKLOADS)

    assert (await incident.decide()).accepted
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert view.containment is Containment.VERIFIED
    assert {s.state for s in view.steps} == {StepState.DONE}
    assert [n for n in incident.script.order() if n not in ("seal_evidence",)] == [
        "assess", "isolate_pods", "verify_containment", "collect_pods", "acquire_lease", "lift_hold", "plan_redeploy",
        "redeploy_workloads", "watch_rollout", "delete_pods", "release_lease", "restore_changes", "write_report",
    ]  # fmt: skip
    taken_away = incident.script.called(ActivityName.RESTORE_CHANGES)[0]
    assert {c.step for c in taken_away.changes} == {"pod.quarantine"}, "the fix stays"


async def test_nothing_is_deleted_before_the_collectors_have_ended(start: Start) -> None:
    slow = asyncio.Event()
    incident = await start(Script(gate={"collect_pods": slow}))
    await incident.until(lambda v: step(v, "pod.collect") is StepState.RUNNING)
    assert (await incident.decide()).accepted, "gates take decisions as soon as the plan stands"
    await incident.until(lambda v: gate(v, "eradicate") is GateState.OPEN)
    assert not incident.script.called(ActivityName.LIFT_HOLD)
    slow.set()
    assert (await incident.result()).state is IncidentState.REMEDIATED
    order = incident.script.order()
    assert order.index("collect_pods") < order.index("lift_hold") < order.index("delete_pods")


async def test_an_unconfirmed_finding_changes_nothing_but_its_evidence_is_kept(start: Start) -> None:
    incident = await start(Script(observed=observed(confirmed=False)))
    view = await incident.until(waiting)
    assert gate(view, "contain") is GateState.WAITING
    assert view.containment is Containment.NONE
    assert not incident.script.called(ActivityName.ISOLATE_PODS)

    assert (await incident.decide("contain")).accepted
    view = await incident.until(lambda v: v.containment is Containment.VERIFIED)
    assert not incident.script.called(ActivityName.LIFT_HOLD), "eradicate was not approved"


async def test_containment_does_not_wait_for_evidence_when_it_was_approved_meanwhile(start: Start) -> None:
    slow = asyncio.Event()
    incident = await start(Script(observed=observed(confirmed=False), gate={"collect_pods": slow}))
    await incident.until(lambda v: step(v, "pod.collect") is StepState.RUNNING)
    await incident.decide("contain")
    view = await incident.until(lambda v: v.containment is Containment.VERIFIED)
    assert step(view, "pod.collect") is StepState.RUNNING
    slow.set()


async def test_denied_containment_closes_the_incident_with_nothing_held(start: Start) -> None:
    incident = await start(Script(observed=observed(confirmed=False)))
    await incident.until(waiting)
    assert (await incident.decide("contain", decision="deny", reason="false alarm")).accepted
    view = await incident.result()
    assert view.state is IncidentState.DENIED
    assert not incident.script.called(ActivityName.ISOLATE_PODS)
    assert incident.script.called(ActivityName.WRITE_REPORT)


async def test_denied_eradication_stays_open_and_contained_until_release(start: Start) -> None:
    incident = await start()
    await incident.until(waiting)
    await incident.decide(decision="deny", reason="the owner fixes it")
    view = await incident.until(lambda v: v.state is IncidentState.DENIED)
    assert view.containment is Containment.VERIFIED
    assert not (await incident.decide()).accepted, "a denied gate takes no approval"
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada", reason="fixed"))
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.RELEASED, Containment.RELEASED)
    assert set(view.undone) == {c.key for c in view.changes}


async def test_a_retry_reopens_a_denied_gate(start: Start) -> None:
    incident = await start()
    await incident.until(waiting)
    old = await incident.decision()
    await incident.decide(decision="deny", reason="not now")
    await incident.handle.signal(Handler.RETRY, RetryRequest(step="pod.redeploy", by="grace", reason="now"))
    view = await incident.until(lambda v: gate(v, "eradicate") is GateState.WAITING)
    assert view.gates[-1].nonce != old.nonce
    assert (await incident.decide()).accepted
    assert (await incident.result()).state is IncidentState.REMEDIATED


async def test_incomplete_containment_is_said_after_thirty_seconds_and_tried_on(start: Start) -> None:
    incident = await start(Script(proofs=[incomplete("policy shop/allow-all allows ingress")]))
    await incident.until(lambda v: bool(incident.script.called(ActivityName.VERIFY_CONTAINMENT)))
    await incident.skip(timedelta(seconds=40))
    view = await incident.until(lambda v: v.containment is Containment.INCOMPLETE)
    assert view.reasons == ("policy shop/allow-all allows ingress",)
    assert view.timings.contained is None
    # Evidence and gates go on although containment is not complete.
    await incident.until(lambda v: step(v, "pod.collect") is StepState.DONE)
    # Each proof that has been asked for by now was the old one, so that only another round can bring the new one.
    asked = len(incident.script.called(ActivityName.VERIFY_CONTAINMENT))
    incident.script.proofs[:] = [verified()]
    await incident.skip(timedelta(minutes=6))
    view = await incident.until(lambda v: v.containment is Containment.VERIFIED)
    assert len(incident.script.called(ActivityName.VERIFY_CONTAINMENT)) > asked
    assert not view.reasons


async def test_a_failed_isolation_is_never_called_verified(start: Start) -> None:
    failed = StepResult(
        failures=(Failure(step="pod.quarantine", target="shop/checkout-0", code="Forbidden", message="no"),)
    )
    incident = await start(Script(isolations=[failed], proofs=[verified()]))
    await incident.skip(timedelta(seconds=40))
    view = await incident.until(lambda v: v.containment is Containment.INCOMPLETE)
    assert [f.code for f in view.failures] == ["Forbidden"]


async def test_an_opening_found_by_the_proof_is_closed_in_the_next_round(start: Start) -> None:
    extra = deny_all_change("late", "pod.quarantine")
    incident = await start(Script(proofs=[incomplete("opened", missing=(extra,)), verified()]))
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    first, second = incident.script.called(ActivityName.ISOLATE_PODS)
    assert extra not in first.changes
    assert extra in second.changes, "its before-state stood in history before it was made"


async def test_drift_makes_the_incident_look_again(start: Start) -> None:
    incident = await start(Script(proofs=[verified(), incomplete("label taken off")]))
    await incident.until(waiting)
    await incident.handle.signal(Handler.OBSERVE, Observation(kind=ObservationKind.DRIFT, reason="label gone"))
    view = await incident.until(lambda v: v.containment is Containment.INCOMPLETE)
    assert view.reasons == ("label taken off",), "said at once, not after thirty seconds"
    assert any("label gone" in n for n in view.notes)
    incident.script.proofs[:] = [verified()]
    await incident.until(lambda v: v.containment is Containment.VERIFIED)


async def test_a_failed_rollout_is_rolled_back_held_again_and_asked_again(start: Start) -> None:
    bad = RolloutResult(
        complete=False,
        failures=(Failure(step="pod.redeploy", target="checkout", code="RolloutFailed", message="image"),),
    )
    incident = await start(Script(rollouts=[bad, RolloutResult(complete=True, summary="ok")]))
    await incident.until(waiting)
    old = await incident.decision()
    await incident.decide()
    view = await incident.until(
        lambda v: step(v, "pod.redeploy") is StepState.FAILED and gate(v, "eradicate") is GateState.WAITING
    )
    assert not incident.script.called(ActivityName.DELETE_PODS)
    assert view.undone, "the rollback is on record"
    assert incident.script.called(ActivityName.RESTORE_CHANGES)[0].changes[0].after == {
        "/spec/template/spec/containers/0/image": IMAGE
    }
    await incident.until(lambda v: len(incident.script.called(ActivityName.ISOLATE_PODS)) == 2)
    stale = await incident.handle.execute_update(Handler.DECIDE, old, result_type=DecisionAnswer)
    assert not stale.accepted, "the old approval does not open the gate a second time"
    assert view.failures
    assert (await incident.decide()).accepted
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert not view.failures
    assert not [k for k in view.undone if "redeploy" in k], "the change was made again"


async def test_a_failed_collection_blocks_deletion_until_it_was_retried(start: Start) -> None:
    incident = await start(Script(collects=[fail("EvidenceError", "the store is full"), CollectResult(artefacts=1)]))
    await incident.until(lambda v: step(v, "pod.collect") is StepState.FAILED)
    await incident.decide()
    await incident.until(lambda v: gate(v, "eradicate") is GateState.OPEN)
    assert not incident.script.called(ActivityName.LIFT_HOLD)
    await incident.handle.signal(Handler.RETRY, RetryRequest(step="pod.collect", by="ada"))
    assert (await incident.result()).state is IncidentState.REMEDIATED


async def test_release_in_the_middle_of_a_rollout_undoes_everything(start: Start) -> None:
    never = asyncio.Event()
    incident = await start(Script(gate={"watch_rollout": never}))
    await incident.until(waiting)
    await incident.decide()
    await incident.until(lambda v: bool(incident.script.called(ActivityName.WATCH_ROLLOUT)))
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada", reason="stop"))
    view = await incident.result()
    assert view.state is IncidentState.RELEASED
    assert not incident.script.called(ActivityName.DELETE_PODS)
    undone = incident.script.called(ActivityName.RESTORE_CHANGES)[-1]
    assert {c.step for c in undone.changes} == {"pod.quarantine", "pod.redeploy"}
    never.set()


async def test_a_release_that_could_not_undo_all_stays_open(start: Start) -> None:
    failed = RestoreResult(
        failures=(Failure(step="release", target="shop/checkout-0", code="Unavailable", message="down"),)
    )
    incident = await start(Script(restores=[failed, RestoreResult(undone=("x",))]))
    await incident.until(waiting)
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada"))
    view = await incident.until(lambda v: bool(v.failures))
    assert view.state is not IncidentState.RELEASED
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada"))
    assert (await incident.result()).state is IncidentState.RELEASED


async def test_cancelling_closes_the_gates_keeps_containment_and_stays_open(start: Start) -> None:
    incident = await start()
    await incident.until(waiting)
    await incident.handle.cancel()
    view = await incident.until(lambda v: gate(v, "eradicate") is GateState.CLOSED)
    assert (view.state, view.containment) == (IncidentState.DENIED, Containment.VERIFIED)
    assert not (await incident.decide()).accepted
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada"))
    assert (await incident.result()).state is IncidentState.RELEASED


async def test_a_failed_assessment_waits_for_a_retry(start: Start) -> None:
    incident = await start(Script(assessments=[fail("InputError", "no cluster")]))
    await incident.until(lambda v: v.state is IncidentState.FAILED)
    await incident.handle.signal(Handler.RETRY, RetryRequest(step="assess", by="ada"))
    view = await incident.until(waiting)
    assert not view.failures


async def test_a_pause_is_outlived_however_long(start: Start) -> None:
    incident = await start(Script(paused=6))
    await incident.skip(timedelta(minutes=5))
    view = await incident.until(lambda v: v.containment is Containment.VERIFIED)
    assert not view.failures


async def test_a_sample_finding_ends_as_a_plan(start: Start) -> None:
    from tests.workflows.conftest import finding

    incident = await start(found=finding(sample=True))
    view = await incident.result()
    assert view.state is IncidentState.PLAN_ONLY
    assert view.containment is Containment.NOT_APPLICABLE
    assert incident.script.order() == ["assess", "write_report"]


async def test_a_report_that_cannot_be_written_does_not_keep_the_incident_open(start: Start) -> None:
    incident = await start(Script(reports=[fail("EvidenceError", "full")]))
    await incident.until(waiting)
    await incident.decide()
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert [f.step for f in view.failures] == ["report"]


async def test_an_expired_gate_keeps_containment_and_reopens_on_approval(start: Start) -> None:
    policy = load_policy("gates: {eradicate: {deadline: 3s}}")
    incident = await start(Script(policy=policy))
    view = await incident.until(lambda v: bool(v.gates) and gate(v, "eradicate") is GateState.EXPIRED)
    assert view.containment is Containment.VERIFIED
    first = await incident.decide()
    assert (first.accepted, first.state) == (False, GateState.WAITING)
    assert (await incident.decide()).accepted
    assert (await incident.result()).state is IncidentState.REMEDIATED


async def test_a_path_with_a_long_history_goes_on_in_a_new_run_and_forgets_nothing(start: Start) -> None:
    incident = await start(Script(proofs=[incomplete("the CNI does not enforce policies")]))
    await incident.until(lambda v: bool(incident.script.called(ActivityName.ISOLATE_PODS)))
    await incident.skip(timedelta(seconds=40))
    await incident.until(lambda v: step(v, "pod.collect") is StepState.DONE)
    child = incident.path("pod")
    first = (await child.describe()).run_id
    while (await child.describe()).run_id == first:
        incident.script.calls = [c for c in incident.script.calls if c[0] != ActivityName.VERIFY_CONTAINMENT]
        await incident.handle.signal(Handler.OBSERVE, Observation(kind=ObservationKind.DRIFT, reason="again"))
        await incident.until(lambda v: bool(incident.script.called(ActivityName.VERIFY_CONTAINMENT)))
    collected = len(incident.script.called(ActivityName.COLLECT_PODS))
    await incident.decide()
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert view.containment is Containment.NOT_APPLICABLE, "what was never proved is not called verified"
    assert view.timings.contained is None
    assert len(incident.script.called(ActivityName.COLLECT_PODS)) == collected == 1
    taken_away = incident.script.called(ActivityName.RESTORE_CHANGES)[-1]
    assert {c.resource.kind for c in taken_away.changes} == {"NetworkPolicy", "Pod"}


async def test_a_static_pod_among_the_targets_is_neither_deleted_nor_let_go(start: Start) -> None:
    seen = observed()
    static = seen.pods[1].model_copy(update={"static": True, "workload": None, "owner": None})
    incident = await start(Script(observed=seen.model_copy(update={"pods": (seen.pods[0], static)})))
    await incident.until(waiting)
    await incident.decide()
    view = await incident.until(lambda v: v.state is IncidentState.REMEDIATED)
    assert [p.uid for p in incident.script.called(ActivityName.DELETE_PODS)[0].pods.inline] == ["p-0"]
    assert [p.uid for p in incident.script.called(ActivityName.LIFT_HOLD)[0].pods.inline] == ["p-0"]
    assert not incident.script.called(ActivityName.RESTORE_CHANGES), "what still runs stays contained"
    assert view.timings.finished is None
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada", reason="the manifest is gone from the node"))
    assert (await incident.result()).state is IncidentState.RELEASED


async def test_a_rollback_that_left_something_is_not_called_one(start: Start) -> None:
    failed = RolloutResult(complete=False, failures=())
    kept = RestoreResult(kept=("Deployment shop/checkout: left as it is, because somebody changed it",))
    incident = await start(Script(rollouts=[failed], restores=[kept]))
    await incident.until(waiting)
    await incident.decide()
    view = await incident.until(lambda v: step(v, "pod.redeploy") is StepState.FAILED)
    detail = next(s.detail for s in view.steps if s.step == "pod.redeploy")
    assert "not rolled back" in detail
    assert [f.code for f in view.failures] == ["Conflict"]
    assert not view.undone
