"""The chain of planned steps: what waits for what, what is tried again, and what the incident is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from contracts.common import Failure
from contracts.incidents import IncidentView, Observation, ReleaseOrder, RetryRequest
from contracts.names import ActivityName, Handler
from contracts.states import Containment, GateState, IncidentState, ObservationKind, StepState
from contracts.steps import StepOutcome, StepPlan, Task, TaskDone
from plans.model import Gate
from tests.workflows.conftest import Incident
from tests.workflows.fakes import Script, fail
from tests.workflows.plans import ASKS, a_plan, a_step
from tests.workflows.test_pod_path import gate, step

Start = Callable[..., Awaitable[Incident]]

UNBIND = a_step("configuration.unbind_anonymous", Gate.CONTAIN, proves=True)
UNBIND_DEFAULT = a_step("configuration.unbind_default_account", Gate.CONTAIN, ASKS, proves=True)
CLOSE = a_step("configuration.close_service", Gate.ERADICATE, ASKS)
CUT_OFF = a_step("user.cut_off", Gate.CONTAIN, proves=True)
KEY_OFF = a_step("user.deactivate_key", Gate.CONTAIN)
REVOKE = a_step("user.revoke_sessions", Gate.CREDENTIALS, ASKS)
RECREATE = a_step("user.recreate_account", Gate.CREDENTIALS, ASKS)
ROTATE = a_step("user.rotate_secrets", Gate.CREDENTIALS, ASKS)
QUARANTINE = a_step("pod.quarantine", Gate.CONTAIN, proves=True)
COLLECT = a_step("pod.collect")
DELETE = a_step("pod.delete", Gate.ERADICATE, ASKS)
CORDON = a_step("node.cordon", Gate.CONTAIN, proves=True)
REVIEW = a_step("node.review_accounts")
ROTATE_NODE = a_step("node.rotate_accounts", Gate.CREDENTIALS, ASKS)


def drift(reason: str = "somebody bound them again") -> Observation:
    return Observation(kind=ObservationKind.DRIFT, reason=reason)


def not_yet(*reasons: str) -> StepOutcome:
    return StepOutcome(complete=False, containment=Containment.INCOMPLETE, at=datetime.now(UTC), reasons=reasons)


def released(view: IncidentView) -> bool:
    return set(view.undone) == {c.key for c in view.changes} and bool(view.changes)


async def test_what_the_policy_allows_is_contained_while_the_rest_waits_for_a_person(start: Start) -> None:
    incident = await start(Script(plan=a_plan(UNBIND, UNBIND_DEFAULT)))
    view = await incident.until(lambda v: step(v, UNBIND.step) is StepState.DONE)
    assert incident.script.did() == [UNBIND.step]
    assert (gate(view, "contain"), view.state) == (GateState.WAITING, IncidentState.AWAITING_APPROVAL)
    assert next(g.steps for g in view.gates) == (UNBIND_DEFAULT.step,), "nobody is asked about what is done already"
    assert view.containment is Containment.INCOMPLETE, "half of it is not enough"
    assert (view.timings.contained, view.reasons) == (None, (f"{UNBIND_DEFAULT.step} is not approved.",))

    assert (await incident.decide("contain")).accepted
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED)
    assert incident.script.did()[-1] == UNBIND_DEFAULT.step and view.timings.contained is not None


async def test_nothing_at_all_is_contained_before_the_approval(start: Start) -> None:
    incident = await start(Script(plan=a_plan(UNBIND_DEFAULT)))
    view = await incident.until(lambda v: bool(v.previews))
    assert view.previews == {UNBIND_DEFAULT.step: (f"ConfigMap shop/{UNBIND_DEFAULT.step}: of {UNBIND_DEFAULT.step}",)}
    assert (view.containment, incident.script.did(), view.changes) == (Containment.NONE, [], ())
    await incident.decide("contain", decision="deny", reason="it is ours")
    assert (await incident.result()).state is IncidentState.DENIED


async def test_a_path_that_must_prove_more_is_not_verified_by_its_first_step(start: Start) -> None:
    slow = asyncio.Event()
    second = a_step("user.deactivate_key", Gate.CONTAIN, proves=True)
    incident = await start(Script(plan=a_plan(CUT_OFF, second, REVOKE), gate={second.step: slow}))
    await incident.until(lambda v: second.step in incident.script.did())
    view = await incident.view()
    assert view.containment is not Containment.VERIFIED and view.timings.contained is None
    slow.set()
    view = await incident.until(lambda v: v.containment is Containment.VERIFIED)
    assert view.timings.contained is not None


async def test_one_contained_path_does_not_vouch_for_another(start: Start) -> None:
    slow = asyncio.Event()
    incident = await start(Script(plan=a_plan(UNBIND, CORDON), gate={CORDON.step: slow}))
    view = await incident.until(lambda v: step(v, UNBIND.step) is StepState.DONE)
    assert view.containment is Containment.INCOMPLETE and view.timings.contained is None
    slow.set()
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED)


async def test_containment_is_tried_on_and_its_failure_is_said_at_once(start: Start) -> None:
    broken = [not_yet("web is bound still")]
    incident = await start(Script(plan=a_plan(UNBIND, CLOSE), outcomes={UNBIND.step: [*broken]}))
    view = await incident.until(lambda v: v.containment is Containment.INCOMPLETE)
    assert (view.reasons, step(view, UNBIND.step)) == (("web is bound still",), StepState.FAILED)
    path = incident.path("configuration")
    await incident.env.fast_forward(path, timedelta(seconds=35))
    assert len(incident.script.did()) > 5, "without pause at first"
    incident.script.outcomes.clear()
    await incident.env.fast_forward(path, timedelta(minutes=6))
    view = await incident.until(lambda v: v.containment is Containment.VERIFIED)
    assert (view.reasons, view.failures) == ((), ())


async def test_a_step_that_is_done_is_reported_although_another_still_fails(start: Start) -> None:
    forbidden = fail("Forbidden", "access entries may not be read")
    script = Script(plan=a_plan(CUT_OFF, KEY_OFF, REVOKE), outcomes={CUT_OFF.step: [forbidden]})
    script.outcomes[KEY_OFF.step] = [fail("Forbidden", "no"), StepOutcome(complete=True)]
    incident = await start(script)
    view = await incident.until(lambda v: step(v, KEY_OFF.step) is StepState.DONE)
    assert step(view, CUT_OFF.step) is StepState.FAILED
    assert [f.code for f in view.failures] == ["Forbidden"]


async def test_drift_wakes_a_path_that_has_nothing_else_to_do(start: Start) -> None:
    """A path of which every step is done goes on looking after them while the incident is open."""
    incident = await start(Script(plan=a_plan(UNBIND, CUT_OFF, REVOKE)))
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    incident.script.outcomes[UNBIND.step] = [not_yet("bound again")]
    await incident.handle.signal(Handler.OBSERVE, drift())
    view = await incident.until(lambda v: v.containment is Containment.INCOMPLETE)
    assert view.reasons == ("bound again",)
    incident.script.outcomes.clear()
    await incident.handle.signal(Handler.RETRY, RetryRequest(step=UNBIND.step, by="ada"))
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    await incident.decide("credentials")
    assert (await incident.result()).state is IncidentState.REMEDIATED


async def test_a_failure_behind_a_gate_asks_again_and_a_retry_does_not_pass_it(start: Start) -> None:
    script = Script(plan=a_plan(CUT_OFF, REVOKE, ROTATE), outcomes={REVOKE.step: [fail("Forbidden", "no"), not_yet()]})
    incident = await start(script)
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    old = await incident.decision("credentials")
    await incident.decide("credentials")
    view = await incident.until(lambda v: step(v, REVOKE.step) is StepState.FAILED)
    view = await incident.until(lambda v: gate(v, "credentials") is GateState.WAITING)
    assert view.gates[-1].nonce != old.nonce and not script.called(ActivityName.ROTATE_SECRETS)
    await incident.handle.signal(Handler.RETRY, RetryRequest(step=REVOKE.step, by="ada"))
    view = await incident.until(lambda v: any("approve it" in n for n in v.notes))
    assert incident.script.did().count(REVOKE.step) == 1

    await incident.decide("credentials")
    # Not failed this time, only not true yet: that is not done either.
    await incident.until(lambda v: incident.script.did().count(REVOKE.step) == 2)
    await incident.until(lambda v: gate(v, "credentials") is GateState.WAITING)
    incident.script.outcomes.clear()
    await incident.decide("credentials")
    assert (await incident.result()).state is IncidentState.REMEDIATED
    assert incident.script.did()[-2:] == [REVOKE.step, ROTATE.step]
    leases = [n for n in incident.script.order() if "lease" in n]
    assert leases == ["acquire_lease", "release_lease"] * 4, "given back after a failure too"


async def test_a_step_that_only_reads_is_retried_without_a_gate(start: Start) -> None:
    incident = await start(Script(plan=a_plan(CORDON, REVIEW), outcomes={REVIEW.step: [fail("Forbidden", "no")]}))
    view = await incident.until(lambda v: step(v, REVIEW.step) is StepState.FAILED)
    assert view.state is IncidentState.FAILED
    incident.script.outcomes.clear()
    await incident.handle.signal(Handler.RETRY, RetryRequest(step=REVIEW.step, by="ada"))
    assert (await incident.result()).state is IncidentState.REMEDIATED


async def test_a_step_waits_for_those_of_another_path_and_is_done_once_more_after_them(start: Start) -> None:
    """The kubelet renews a living pod's token for the new account too (guide U6)."""
    slow = asyncio.Event()
    incident = await start(
        Script(plan=a_plan(REVOKE, RECREATE, QUARANTINE, COLLECT, DELETE), gate={"isolate_pods": slow})
    )
    await incident.decide("credentials")
    await incident.until(lambda v: gate(v, "credentials") is GateState.OPEN)
    assert incident.script.did() == [], "the source is contained first"
    slow.set()
    await incident.until(lambda v: step(v, RECREATE.step) is StepState.DONE)
    assert incident.script.did() == [REVOKE.step, RECREATE.step]
    await incident.decide("eradicate")
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert incident.script.did() == [REVOKE.step, RECREATE.step, REVOKE.step, RECREATE.step]
    again = incident.script.called(ActivityName.RECREATE_ACCOUNT)
    assert [r.again for r in again] == [False, True]
    order = incident.script.order()
    assert order.index("delete_pods") < len(order) - 1 - order[::-1].index("recreate_account")


async def test_what_pods_of_two_paths_share_is_done_once_more_only_when_all_of_them_are_gone(start: Start) -> None:
    recreate = a_step("pod.recreate_account", Gate.CREDENTIALS, ASKS)
    of_image = (a_step("image.quarantine", Gate.CONTAIN), a_step("image.delete_pods", Gate.ERADICATE, ASKS))
    slow = asyncio.Event()
    plan = a_plan(QUARANTINE, COLLECT, recreate, DELETE, *of_image, CORDON, REVIEW)
    failing: dict[str, list[StepOutcome | Exception]] = {REVIEW.step: [fail("Forbidden", "no")]}
    incident = await start(Script(plan=plan, gate={"image.delete_pods": slow}, outcomes=failing))
    await incident.decide("credentials")
    await incident.until(lambda v: step(v, recreate.step) is StepState.DONE)
    await incident.decide("eradicate")
    await incident.until(lambda v: step(v, DELETE.step) is StepState.DONE)
    # A step that begins only now is planned and done; one that was ready before would have been, too.
    incident.script.outcomes.clear()
    await incident.handle.signal(Handler.RETRY, RetryRequest(step=REVIEW.step, by="ada"))
    await incident.until(lambda v: step(v, REVIEW.step) is StepState.DONE)
    assert incident.script.did().count(recreate.step) == 1, "a pod of the image lives, and would get a new token"
    slow.set()
    assert (await incident.result()).state is IncidentState.REMEDIATED
    assert incident.script.did().count(recreate.step) == 2


async def test_without_containment_nothing_else_is_carried_out(start: Start) -> None:
    unsure = a_step("pod.quarantine", Gate.CONTAIN, ASKS, proves=True)
    incident = await start(Script(plan=a_plan(UNBIND, REVOKE, unsure, COLLECT)))
    await incident.until(lambda v: step(v, COLLECT.step) is StepState.DONE)
    await incident.decide("credentials")
    await incident.until(lambda v: gate(v, "credentials") is GateState.OPEN)
    assert REVOKE.step not in incident.script.did()
    await incident.decide("contain", decision="deny", reason="a drill")
    view = await incident.result()
    assert (view.state, step(view, UNBIND.step)) == (IncidentState.DENIED, StepState.DONE)
    assert REVOKE.step not in incident.script.did()


async def test_one_decision_opens_a_gate_for_every_path(start: Start) -> None:
    incident = await start(Script(plan=a_plan(CUT_OFF, REVOKE, CORDON, ROTATE_NODE)))
    view = await incident.until(lambda v: v.containment is Containment.VERIFIED)
    (credentials,) = [g for g in view.gates if g.gate is Gate.CREDENTIALS]
    assert credentials.steps == (REVOKE.step, ROTATE_NODE.step)
    await incident.decide("credentials")
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED
    assert set(incident.script.did()[-2:]) == {REVOKE.step, ROTATE_NODE.step}


async def test_a_denied_gate_ends_nothing_that_was_approved(start: Start) -> None:
    slow = asyncio.Event()
    incident = await start(Script(plan=a_plan(UNBIND, CLOSE, REVOKE, ROTATE), gate={REVOKE.step: slow}))
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    await incident.decide("credentials")
    await incident.until(lambda v: REVOKE.step in incident.script.did())
    await incident.decide("eradicate", decision="deny", reason="the dashboard stays")
    slow.set()
    view = await incident.until(lambda v: step(v, ROTATE.step) is StepState.DONE)
    assert view.state is IncidentState.DENIED
    assert step(view, CLOSE.step) is StepState.PLANNED


async def test_release_stops_every_path_and_undoes_everything_backwards(start: Start) -> None:
    never = asyncio.Event()
    incident = await start(Script(plan=a_plan(UNBIND, CLOSE, CUT_OFF, REVOKE), gate={REVOKE.step: never}))
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    await incident.decide("credentials")
    await incident.until(lambda v: REVOKE.step in incident.script.did())
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada", reason="false alarm"))
    await asyncio.sleep(0.2)
    assert not incident.script.called(ActivityName.RESTORE_CHANGES), "a change that is being made is waited for"
    never.set()
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.RELEASED, Containment.RELEASED)
    (order,) = incident.script.called(ActivityName.RESTORE_CHANGES)
    assert {c.step for c in order.changes} == {UNBIND.step, CUT_OFF.step, REVOKE.step}
    assert order.changes[-1].step == REVOKE.step and released(view)
    assert CLOSE.step not in incident.script.did()


async def test_a_path_with_a_long_history_goes_on_in_a_new_run(start: Start) -> None:
    incident = await start(Script(plan=a_plan(UNBIND, CLOSE, RECREATE)))
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    child = incident.path("configuration")
    first = (await child.describe()).run_id
    while (await child.describe()).run_id == first:
        before = incident.script.did().count(UNBIND.step)
        await incident.handle.signal(Handler.OBSERVE, drift())
        await incident.until(lambda v, n=before: incident.script.did().count(UNBIND.step) > n)  # type: ignore[misc]
    view = await incident.view()
    assert (view.containment, len(view.changes)) == (Containment.VERIFIED, 1)
    await incident.decide("eradicate")
    await incident.decide("credentials")
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED)
    assert incident.script.did().count(CLOSE.step) == 1


async def test_a_path_that_was_ended_from_outside_says_so_and_goes_on_when_asked(start: Start) -> None:
    incident = await start(Script(plan=a_plan(UNBIND, CLOSE, CUT_OFF)))
    await incident.until(lambda v: v.containment is Containment.VERIFIED and bool(v.previews))
    await incident.path("configuration").terminate("by mistake")
    view = await incident.until(lambda v: step(v, CLOSE.step) is StepState.FAILED)
    assert step(view, UNBIND.step) is StepState.DONE, "what was done stays done"
    assert any("configuration" in f.step for f in view.failures)
    await incident.decide("eradicate")
    await incident.handle.signal(Handler.RETRY, RetryRequest(step=CLOSE.step, by="ada"))
    view = await incident.result()
    assert (view.state, view.failures) == (IncidentState.REMEDIATED, ())
    assert sorted(incident.script.did()) == sorted([UNBIND.step, CUT_OFF.step, CLOSE.step]), "each once"
    assert len(view.changes) == 3, "no change was forgotten"


async def test_a_lost_path_does_not_keep_its_changes_from_being_undone(start: Start) -> None:
    incident = await start(Script(plan=a_plan(UNBIND, CLOSE)))
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    await incident.path("configuration").terminate("by mistake")
    await incident.until(lambda v: step(v, CLOSE.step) is StepState.FAILED)
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada"))
    view = await incident.result()
    assert view.state is IncidentState.RELEASED and released(view)
    (order,) = incident.script.called(ActivityName.RESTORE_CHANGES)
    assert order.unreported, "what it was just changing nobody was told"


async def test_what_cannot_be_planned_or_is_not_needed_changes_nothing(start: Start) -> None:
    refused = StepPlan(
        blocked=True, failures=(Failure(step=CLOSE.step, target="web", code="PolicyRefusal", message="two Services"),)
    )
    script = Script(
        plan=a_plan(UNBIND, CLOSE), plans={UNBIND.step: [StepPlan(skip="nobody is bound")], CLOSE.step: [refused]}
    )
    incident = await start(script)
    view = await incident.until(lambda v: step(v, UNBIND.step) is StepState.SKIPPED)
    assert (view.containment, view.timings.contained) == (Containment.NOT_APPLICABLE, None)
    view = await incident.until(lambda v: bool(v.previews))
    assert "two Services" in view.previews[CLOSE.step][0]
    await incident.decide("eradicate")
    view = await incident.until(lambda v: step(v, CLOSE.step) is StepState.FAILED)
    assert (incident.script.did(), view.changes) == ([], ())


async def test_what_is_approved_and_what_is_released_waits_for_no_preview(start: Start) -> None:
    stuck = asyncio.Event()
    incident = await start(Script(plan=a_plan(REVIEW, CLOSE), plans={REVIEW.step: [StepPlan()]}))
    await incident.until(lambda v: bool(v.previews) and incident.script.did() == [REVIEW.step])
    await incident.decide("eradicate")
    assert (await incident.result()).state is IncidentState.REMEDIATED

    incident = await start(Script(plan=a_plan(UNBIND, CLOSE), gate={"plan_step": stuck}))
    await incident.until(lambda v: bool(incident.script.called(ActivityName.PLAN_STEP)))
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada"))
    assert (await incident.result()).state is IncidentState.RELEASED, "a release waits for no reading"
    assert incident.script.did() == []


async def test_a_preview_is_made_anew_when_what_the_step_waits_for_has_ended(start: Start) -> None:
    snapshot, end = a_step("node.snapshot"), a_step("node.terminate", Gate.TERMINATE, ASKS)
    too_early = StepPlan(blocked=True, failures=(Failure(step=end.step, target="", code="Conflict", message="early"),))
    ready = StepPlan(notes=("node-0 ends with its pods",))
    plans: dict[str, list[StepPlan | Exception]] = {
        snapshot.step: [StepPlan()],
        end.step: [too_early, ready],
    }
    taken = asyncio.Event()
    incident = await start(Script(plan=a_plan(snapshot, end), plans=plans, gate={snapshot.step: taken}))
    await incident.until(lambda v: v.previews.get(end.step) == too_early.sentences())
    taken.set()
    await incident.until(lambda v: v.previews.get(end.step) == ready.sentences())


async def test_a_task_of_a_person_keeps_the_incident_open(start: Start) -> None:
    task = Task(id="rotate_secrets-1", step=ROTATE.step, text="rotate shop/stripe")
    incident = await start(
        Script(plan=a_plan(CUT_OFF, ROTATE), outcomes={ROTATE.step: [StepOutcome(complete=True, tasks=(task,))]})
    )
    await incident.until(lambda v: v.containment is Containment.VERIFIED)
    await incident.decide("credentials")
    view = await incident.until(lambda v: step(v, ROTATE.step) is StepState.DONE)
    assert view.state is not IncidentState.REMEDIATED
    await incident.handle.signal(Handler.TASK_DONE, TaskDone(task=task.id, by="grace", reason="rotated at Stripe"))
    view = await incident.result()
    assert (view.state, view.tasks[0].by) == (IncidentState.REMEDIATED, "grace")


async def test_a_machine_that_has_ended_needs_no_isolation_any_more(start: Start) -> None:
    isolate = a_step("node.isolate", Gate.CONTAIN, ASKS)
    end = a_step("node.terminate", Gate.TERMINATE, ASKS)
    incident = await start(Script(plan=a_plan(CORDON, isolate, end)))
    await incident.until(lambda v: step(v, CORDON.step) is StepState.DONE)
    await incident.decide("terminate")
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED)
    assert step(view, isolate.step) is StepState.SKIPPED
    assert isolate.step not in incident.script.did()


async def test_a_machine_that_ended_before_it_was_cut_off_is_never_called_contained(start: Start) -> None:
    isolate = a_step("node.isolate", Gate.CONTAIN, ASKS, proves=True)
    end = a_step("node.terminate", Gate.TERMINATE, ASKS)
    incident = await start(Script(plan=a_plan(CORDON, isolate, end)))
    await incident.until(lambda v: step(v, CORDON.step) is StepState.DONE)
    await incident.decide("terminate")
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.INCOMPLETE)
    assert any("node.isolate was not done before" in r for r in view.reasons)
    assert (step(view, isolate.step), view.timings.contained) == (StepState.SKIPPED, None)
