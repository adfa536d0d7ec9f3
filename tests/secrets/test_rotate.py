"""Secrets that a compromised identity could read, against the real API server and a stand-in for AWS (guide U7)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from activities.bindings import bindings_of, subject_named, without_subject
from activities.doors import Doors
from activities.secrets.readers import all_secrets
from clients.aws import Aws
from contracts.steps import StepRequest
from devstack.kube import KubeApi
from errors import Forbidden
from findings.model import Finding
from plans.model import Target, TargetKind
from tests.accounts.support import (
    account,
    honoured,
    legacy_token,
    make_account,
    make_token_secret,
    path,
    request_for,
)
from tests.assess.support import raw_finding, read
from tests.isolation.support import eventually, make_pod
from tests.secrets.support import (
    EXTERNAL,
    account_subject,
    allow,
    certificate,
    issue,
    make_certificate,
    make_secret,
    marked,
    plan_secrets,
    rotate,
)

pytestmark = pytest.mark.stack

STEP = "user.rotate_secrets"


def reader(admin: KubeApi, namespace: str, *names: str, **options: Any) -> StepRequest:
    """The request about an account that may read all Secrets of the namespace, or those named."""
    make_account(admin, namespace, "spy")
    allow(admin, namespace, account_subject(namespace, "spy"), *names, **options)
    return request_for(namespace, "spy", step=STEP)


def about_user(name: str, **fields: Any) -> tuple[Finding, tuple[Target, ...]]:
    finding = read(raw_finding("f-1", user={"Username": name, "Groups": ["auditors"], **fields}))
    return finding, (Target(kind=TargetKind.SUBJECT, name=name),)


def names(texts: tuple[Any, ...]) -> set[str]:
    """The names of the Secrets that tasks name."""
    return {t.text.split("/")[1].split(":")[0] for t in texts}


@pytest.mark.parametrize("verb", ["get", "list"])
def test_every_secret_that_could_be_read_is_a_task_without_its_value(
    doors: Doors, admin: KubeApi, namespace: str, verb: str
) -> None:
    make_secret(admin, namespace, "database", labels={"app.kubernetes.io/managed-by": "terraform"})
    make_secret(admin, namespace, "mail", annotations={"meta.helm.sh/release-name": "shop"})
    request = reader(admin, namespace, verbs=(verb,))
    planned = plan_secrets(doors, request)
    outcome = rotate(doors, request, planned=planned)
    assert outcome.complete, outcome
    assert {(t.owner, t.text) for t in outcome.tasks} == {
        (f"terraform in {namespace}", f"Rotate the Secret {namespace}/database: it could be read."),
        (f"Helm release shop in {namespace}", f"Rotate the Secret {namespace}/mail: it could be read."),
    }
    assert all(t.id.startswith(f"{STEP}-") and len(t.id) == len(STEP) + 9 for t in outcome.tasks)
    assert "the value of" not in planned.model_dump_json() + outcome.model_dump_json()
    assert rotate(doors, request).tasks == outcome.tasks, "a task keeps its id"


def test_only_what_could_be_read_is_named(doors: Doors, admin: KubeApi, namespace: str) -> None:
    for name in ("one", "two", "mounted"):
        make_secret(admin, namespace, name)
    request = reader(admin, namespace, "one")
    assert names(rotate(doors, request).tasks) == {"one"}
    volume = {"name": "v", "secret": {"secretName": "mounted"}}
    make_pod(admin, namespace, "spy", serviceAccountName="spy", volumes=[volume])
    assert names(rotate(doors, request).tasks) == {"one", "mounted"}, "whoever is in a pod needs no API"


def test_the_account_of_a_pod_counts_though_the_finding_is_about_somebody_else(
    doors: Doors, admin: KubeApi, namespace: str
) -> None:
    make_secret(admin, namespace, "one")
    about_the_account = reader(admin, namespace, "one")
    finding, targets = about_user(f"jane-{uuid.uuid4().hex[:6]}")
    request = request_for(
        namespace, "", step=STEP, finding=finding, targets=(*targets, *about_the_account.step.targets)
    )
    assert names(rotate(doors, request).tasks) == {"one"}


def test_what_the_incident_has_taken_away_counts_as_could_be_read(doors: Doors, admin: KubeApi, namespace: str) -> None:
    make_secret(admin, namespace, "one")
    make_secret(admin, namespace, "two")
    user = f"jane-{uuid.uuid4().hex[:6]}"
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}
    binding = allow(admin, namespace, subject, "two")
    finding, targets = about_user(user)
    request = request_for(namespace, "", step=STEP, finding=finding, targets=targets)
    assert names(rotate(doors, request).tasks) == {"two"}

    matches = subject_named("User", user)
    (live,) = bindings_of(doors.kubernetes, matches)
    made = without_subject(live, matches, "user.cut_off")
    url = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{binding}"
    admin.request("PATCH", url, {"subjects": []}, content_type="application/merge-patch+json")
    assert rotate(doors, request).tasks == ()
    assert names(rotate(doors, request.model_copy(update={"made": (made,)})).tasks) == {"two"}


def test_a_certificate_is_issued_anew_and_awaited(doors: Doors, admin: KubeApi, namespace: str) -> None:
    make_certificate(admin, namespace, "web")
    make_certificate(admin, namespace, "pinned", policy="Never")
    make_certificate(admin, namespace, "old", policy="")
    request = reader(admin, namespace)
    planned = plan_secrets(doors, request)
    late = rotate(doors, request, planned=planned, patience=timedelta(0))
    assert not late.complete and "has not ended" in late.failures[0].message
    assert marked(certificate(admin, namespace, "web"))
    assert not marked(certificate(admin, namespace, "pinned"))

    # Tried again it waits for what was begun, and the wait ends when cert-manager is done.
    outcomes: list[Any] = []
    waiting = threading.Thread(target=lambda: outcomes.append(rotate(doors, request, planned=planned)))
    waiting.start()
    for name in ("web", "old"):
        issue(admin, namespace, name)
    waiting.join(20)
    (outcome,) = outcomes
    assert outcome.complete, outcome
    assert certificate(admin, namespace, "web")["status"]["revision"] == 4
    assert certificate(admin, namespace, "web")["status"]["conditions"][0]["type"] == "Ready"
    texts = " ".join(t.text for t in outcome.tasks)
    assert "pinned-tls" in texts and "rotationPolicy Never" in texts
    assert "old-tls" in texts and "web-tls" not in texts
    # Planned again by the same incident, nothing is issued a second time.
    assert plan_secrets(doors, request.model_copy(update={"made": planned.changes})).changes == ()


def test_an_annotation_does_not_choose_what_is_issued(doors: Doors, admin: KubeApi, namespace: str) -> None:
    make_certificate(admin, namespace, "web")
    make_secret(admin, namespace, "bait", annotations={"cert-manager.io/certificate-name": "web"})
    make_secret(admin, namespace, "lost", annotations={"cert-manager.io/certificate-name": "none"})
    request = reader(admin, namespace, "bait", "lost")
    planned = plan_secrets(doors, request)
    assert planned.changes == ()
    assert names(rotate(doors, request, planned=planned).tasks) == {"bait", "lost"}


def test_a_secret_of_secrets_manager_is_rotated_once(
    doors: Doors, admin: KubeApi, namespace: str, aws: Aws, in_aws: Callable[..., str]
) -> None:
    rotates, still = in_aws(), in_aws(rotates=False)
    make_secret(admin, namespace, "linked", annotations={"firebreak.dev/secrets-manager-id": rotates})
    make_secret(admin, namespace, "still", annotations={"firebreak.dev/secrets-manager-id": still})
    request = reader(admin, namespace)
    before, untouched = aws.secrets_manager.state(rotates), aws.secrets_manager.state(still)
    planned = plan_secrets(doors, request)
    assert aws.secrets_manager.state(rotates) == before, "a plan changes nothing"
    outcome = rotate(doors, request, planned=planned)
    assert outcome.complete, outcome
    after = aws.secrets_manager.state(rotates)
    assert after.current != before.current
    assert aws.secrets_manager.state(still) == untouched
    (task,) = outcome.tasks
    assert f"{namespace}/still" in task.text and "no rotation is set up" in task.text
    assert rotate(doors, request, planned=planned).complete
    assert plan_secrets(doors, request.model_copy(update={"made": planned.changes})).changes == ()
    assert aws.secrets_manager.state(rotates) == after


def test_what_external_secrets_copies_is_rotated_at_its_source(
    doors: Doors, admin: KubeApi, namespace: str, aws: Aws, in_aws: Callable[..., str]
) -> None:
    arn = in_aws()
    for name, region in (("here", aws.region), ("far", "ap-south-2")):
        store = {"provider": {"aws": {"service": "SecretsManager", "region": region}}}
        external = {"secretStoreRef": {"name": name}, "data": [{"secretKey": "p", "remoteRef": {"key": arn}}]}
        for plural, kind, spec in (
            ("secretstores", "SecretStore", store),
            ("externalsecrets", "ExternalSecret", external),
        ):
            body = {"apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
            made = admin.request("POST", f"{EXTERNAL}/namespaces/{namespace}/{plural}", body)
        owner = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": name}
        make_secret(admin, namespace, name, ownerReferences=[{**owner, "uid": made["metadata"]["uid"]}])
    request = reader(admin, namespace)
    before = aws.secrets_manager.state(arn)
    outcome = rotate(doors, request)
    assert outcome.complete, outcome
    assert aws.secrets_manager.state(arn).current != before.current
    (task,) = outcome.tasks
    assert task.owner == f"ExternalSecret {namespace}/far" and "ap-south-2" in task.text


def test_a_readable_token_is_replaced_by_another_token(doors: Doors, admin: KubeApi, namespace: str) -> None:
    before = make_account(admin, namespace, "robot", imagePullSecrets=[{"name": "registry"}])
    old = make_token_secret(admin, namespace, "robot")
    request = reader(admin, namespace)
    own = make_token_secret(admin, namespace, "spy")
    outcome = rotate(doors, request)
    assert outcome.complete, outcome
    assert outcome.tasks == ()
    after = account(admin, namespace, "robot")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["imagePullSecrets"] == [{"name": "registry"}]
    new = legacy_token(admin, namespace, "robot-token")
    # Made anew for the same uid it would be the very same token.
    assert new != old
    eventually(lambda: not honoured(admin, old))
    eventually(lambda: honoured(admin, new))
    secret = admin.request("GET", path(namespace, "secrets", "robot-token"))
    assert secret["metadata"]["labels"]["team"] == "shop"
    assert honoured(admin, own), "the account's own tokens are the business of user.recreate_account"


def test_many_secrets_are_grouped(
    doors: Doors, admin: KubeApi, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.secrets.sorting.MOST_TASKS", 2)
    for name in ("a", "b", "c"):
        make_secret(admin, namespace, name)
    (task,) = rotate(doors, reader(admin, namespace)).tasks
    assert task.text == f"Rotate 3 Secrets of {namespace} that could be read: a, b and c."


def test_an_identity_that_could_read_nothing_is_an_outcome(doors: Doors, admin: KubeApi, namespace: str) -> None:
    make_account(admin, namespace, "quiet")
    make_secret(admin, namespace, "database")
    planned = plan_secrets(doors, request_for(namespace, "quiet", step=STEP))
    assert planned.skip == "it could read no Secret"
    assert planned.changes == ()


def test_no_value_leaves_the_api_server(doors: Doors, admin: KubeApi, namespace: str) -> None:
    make_secret(admin, namespace, "database")
    found = next(s for s in all_secrets(doors) if s["metadata"]["namespace"] == namespace)
    assert found["metadata"]["name"] == "database"
    assert set(found) <= {"kind", "apiVersion", "metadata"}
    with pytest.raises(Forbidden):
        doors.bindings.get(path(namespace, "secrets", "database"))
    with pytest.raises(Forbidden):
        next(doors.kubernetes.metadata(path(namespace, "secrets")))
