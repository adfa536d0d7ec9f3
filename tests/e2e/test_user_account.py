"""A compromised service account: a new identity, new secrets, and what only people can do (guide U6, U7)."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.incidents import IncidentView
from contracts.states import IncidentState
from devstack.kube import KubeApi
from tests.accounts.support import account, bound_token, honoured, make_account, make_token_secret
from tests.assess.support import account_user
from tests.e2e.incident import Incident, eventually, step_state
from tests.e2e.targets import NAME, deployed, uids
from tests.e2e.workloads import workload
from tests.e2e.world import World
from tests.secrets.support import (
    account_subject,
    allow,
    certificate,
    install_kinds,
    issue,
    make_certificate,
    make_secret,
    marked,
)

pytestmark = [pytest.mark.stack]

SPY = {"serviceAccountName": "spy"}


@pytest.fixture(scope="session")
def kinds(admin: KubeApi) -> None:
    """cert-manager's kinds; the test plays its controller."""
    install_kinds(admin)


async def accused_of(world: World, admin: KubeApi) -> tuple[Incident, dict[str, Any]]:
    """An incident about an account: one of its workloads is accused and cut off, another one is healthy."""
    made = make_account(admin, world.namespace, "spy", imagePullSecrets=[{"name": "registry"}])
    allow(admin, world.namespace, account_subject(world.namespace, "spy"), verbs=("get", "list"))
    accused = await deployed(world, "Deployment", pod=SPY)
    world.create(workload("Deployment", "healthy", replicas=1, pod=SPY))
    await world.ready("healthy", 1)
    make_secret(admin, world.namespace, "database", labels={"app.kubernetes.io/managed-by": "terraform"})
    make_certificate(admin, world.namespace, "web")
    user = account_user(world.namespace, "spy", made["metadata"]["uid"])
    incident = await world.start(world.finding_about(accused, user=user))
    await incident.contained()
    await incident.collected()
    return incident, made


async def test_a_compromised_account_ends_with_all_that_it_could_read(
    world: World, admin: KubeApi, kinds: None
) -> None:
    incident, first = await accused_of(world, admin)
    legacy = make_token_secret(admin, world.namespace, "spy")
    bound = bound_token(admin, world.namespace, "spy")
    assert honoured(admin, legacy) and honoured(admin, bound)
    healthy, held = uids(world.pods("healthy")), uids(world.pods(NAME))

    def previewed(view: IncidentView) -> bool:
        return {"user.recreate_account", "user.rotate_secrets"} <= set(view.previews)

    seen = await incident.until(previewed, "the approver sees what would be changed")
    assert "database" in " ".join(seen.previews["user.rotate_secrets"])
    assert account(admin, world.namespace, "spy")["metadata"]["uid"] == first["metadata"]["uid"], "nothing is done yet"

    await incident.approve("credentials")
    await eventually(lambda: marked(certificate(admin, world.namespace, "web")), "the certificate is marked")
    issue(admin, world.namespace, "web")
    view = await incident.until(lambda v: step_state(v, "user.rotate_secrets") == "done", "the secrets are rotated")

    second = account(admin, world.namespace, "spy")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert second["imagePullSecrets"] == [{"name": "registry"}]
    assert world.find("Secret", "spy-token") is None
    await eventually(lambda: uids(world.pods("healthy")).isdisjoint(healthy), "the healthy pods are new")
    assert uids(world.pods(NAME)) == held, "what is held keeps its dead token"
    await eventually(lambda: not honoured(admin, legacy) and not honoured(admin, bound), "no old token is honoured")
    tasks = [t.task for t in view.tasks]
    assert [t.owner for t in tasks] == [f"terraform in {world.namespace}"]
    assert view.state is IncidentState.AWAITING_APPROVAL

    restarted = uids(await world.ready("healthy", 1))
    await incident.approve("eradicate")
    # Once the pods are gone nothing renews a token for the attacker any more, and only then the identity is final.
    await eventually(
        lambda: account(admin, world.namespace, "spy")["metadata"]["uid"] != second["metadata"]["uid"],
        "the account is recreated once more",
    )
    await incident.until(lambda v: all(s.state.value in ("done", "skipped") for s in v.steps), "all steps are done")
    assert (await incident.view()).state is not IncidentState.REMEDIATED, "a task is open"
    assert await incident.is_open()

    listed = await world.firebreak("task", "list", incident.id)
    assert [t["task"] for t in listed["tasks"]] == [tasks[0].id]
    done = await world.firebreak("task", "done", incident.id, tasks[0].id, "--reason", "new password", "--by", "ada")
    assert done["accepted"] and done["open"] == 0
    ended = await incident.result()
    assert ended.state is IncidentState.REMEDIATED, ended
    assert [(t.by, t.reason) for t in ended.tasks] == [("ada", "new password")]
    await world.ready(NAME, 2)
    assert uids(await world.ready("healthy", 1)).isdisjoint(restarted), "they have tokens of the last identity"


async def test_release_keeps_the_new_identity_and_says_so(world: World, admin: KubeApi, kinds: None) -> None:
    incident, first = await accused_of(world, admin)
    await incident.approve("credentials")
    await eventually(lambda: marked(certificate(admin, world.namespace, "web")), "the certificate is marked")
    issue(admin, world.namespace, "web")
    await incident.until(lambda v: step_state(v, "user.rotate_secrets") == "done", "the secrets are rotated")
    now = account(admin, world.namespace, "spy")
    view = await incident.release()
    assert view.state is IncidentState.RELEASED
    assert account(admin, world.namespace, "spy") == now
    assert now["metadata"]["uid"] != first["metadata"]["uid"]
    assert any("ServiceAccountIdentity" in n and "nothing brings it back" in n for n in view.notes), view.notes
    assert certificate(admin, world.namespace, "web")["status"]["revision"] == 4
    assert not world.marks()
