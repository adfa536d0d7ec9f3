"""What is no finding is refused with the field, what was expected, and little of what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from errors import InputError
from findings import reader
from findings.reader import read_findings
from tests.findings import builders as b


def refusal(data: bytes | str) -> InputError:
    with pytest.raises(InputError) as error:
        read_findings(data)
    assert str(error.value).isprintable()
    assert len(error.value.found) < 200
    return error.value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "JSON"),
        (b"  \n", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe{}", "JSON in UTF-8"),
        ("\ud800", "JSON in UTF-8"),
        (b'{"id": NaN}', "JSON"),
        (b'{"id": -Infinity}', "JSON"),
        (b"[" * 200_000, "JSON"),
        (b'{"a":' * 200_000, "JSON"),
        (b"9" * 5000, "JSON"),
        (b"3", "a GuardDuty finding as a JSON object"),
        (b'"text"', "a GuardDuty finding as a JSON object"),
        (b"null", "a GuardDuty finding as a JSON object"),
        (b"[]", "at least one finding"),
    ],
)
def test_no_document(data: bytes | str, expected: str) -> None:
    error = refusal(data)
    assert (error.field, error.expected) == ("$", expected)


def test_size_is_counted_in_bytes_and_the_largest_is_read() -> None:
    text = b.dumps(b.detail())
    assert read_findings(text + b" " * (reader.MAX_BYTES - len(text)))
    assert refusal(text + b" " * (reader.MAX_BYTES - len(text) + 1)).expected == "at most 5 MB of JSON"
    assert refusal("é" * (reader.MAX_BYTES // 2 + 1)).expected == "at most 5 MB of JSON"


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_findings(b"\xef\xbb\xbf" + b.dumps(b.detail()))


WRAPS: dict[str, tuple[Callable[[b.Json], Any], str, bool]] = {
    "detail": (lambda f: f, "", False),
    "event": (b.eventbridge_event, "detail.", False),
    "list": (lambda f: [b.detail(), f], "[1].", False),
    "get-findings": (lambda f: b.get_findings(b.detail(), f), "Findings[1].", True),
    "list of events": (lambda f: [b.eventbridge_event(f)], "[0].detail.", False),
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("id", None),
        ("id", ""),
        ("id", 7),
        ("id", "a/b"),
        ("id", ".."),
        ("id", "-rf"),
        ("id", "a\n"),
        ("id", "a" * 301),
        ("id", "a\u0000"),
        ("type", None),
        ("type", ["x"]),
        ("type", "x" * 201),
        ("type", "x\x1b[2J"),
        ("severity", None),
        ("severity", "8"),
        ("severity", True),
        ("severity", {"Product": 8}),
        ("severity", -0.1),
        ("severity", 10.1),
        ("severity", 10**400),
        ("accountId", 111122223333),
        ("accountId", "../1"),
        ("region", "eu central 1"),
        ("region", "EU"),
        ("arn", "arn:aws:inspector2:eu-central-1:111122223333:finding/x"),
        ("createdAt", {"date": 1}),
        ("updatedAt", False),
        ("title", 5),
        ("resource", []),
        ("resource", "foo"),
        ("service", 4),
        ("resource.eksClusterDetails.name", "a/b"),
        ("resource.kubernetesDetails.kubernetesUserDetails", "foo"),
        ("resource.kubernetesDetails.kubernetesUserDetails.username", "a\u202eb"),
        ("resource.kubernetesDetails.kubernetesUserDetails.username", "a\u0000"),
        ("resource.kubernetesDetails.kubernetesUserDetails.groups", "foo"),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.namespace", "../../etc"),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.namespace", "shop\n"),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.name", "a;rm -rf /"),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.name", "<script>"),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.name", "a" * 254),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.name", "wеb"),  # noqa: RUF001 (a Cyrillic letter)
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.serviceAccountName", "a b"),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.uid", "x/y"),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.hostNetwork", "true"),
        ("resource.kubernetesDetails.kubernetesWorkloadDetails.containers", 3),
        ("service.count", 1.5),
        ("service.archived", "no"),
        ("service.action.kubernetesApiCallAction.statusCode", "200"),
        ("service.action.kubernetesApiCallAction.verb", ["create"]),
    ],
)
def test_a_bad_member_is_named_by_its_path(wrap: str, where: str, value: Any) -> None:
    finding = b.detail()
    *parents, last = where.split(".")
    holder = finding
    for name in parents:
        holder = holder[name]
    holder[last] = value
    wrapped, prefix, raised = WRAPS[wrap]
    error = refusal(b.dumps(wrapped(finding)))
    path = ".".join(p[:1].upper() + p[1:] for p in where.split(".")) if raised else where
    assert error.field == prefix + path
    assert error.expected


def test_items_are_named_by_their_number() -> None:
    finding = b.detail(user_details=b.user(groups=["a", 7]))
    assert refusal(b.dumps(finding)).field == "resource.kubernetesDetails.kubernetesUserDetails.groups[1]"
    finding = b.detail(workload_details=b.workload(containers=[None, {"securityContext": {"privileged": "yes"}}]))
    path = "resource.kubernetesDetails.kubernetesWorkloadDetails.containers[1].securityContext.privileged"
    assert refusal(b.dumps(finding)).field == path


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "id"),
        ([[b.detail()]], "[0]"),
        ([b.detail(), None], "[1]"),
        ({"Findings": []}, "Findings"),
        ({"Findings": None}, "Findings"),
        ({"Findings": {"Id": "x"}}, "Findings"),
        ({"Findings": ["x"]}, "Findings[0]"),
        ({"Findings": [b.get_findings()]}, "Findings[0].Id"),
        (b.eventbridge_event(source="aws.ec2"), "source"),
        ({"detail": b.detail()}, "source"),
        (b.eventbridge_event({}), "detail"),
        ({**b.eventbridge_event(), "detail": "x"}, "detail"),
        ({**b.eventbridge_event(), "detail": None}, "detail"),
        ({**b.eventbridge_event(), "detail-type": "GuardDuty Malware Protection Object Scan Result"}, "detail-type"),
        (b.security_hub_event(detail={}), "detail.findings"),
        (b.security_hub_event(detail={"findings": []}), "detail.findings"),
        (b.security_hub_event(b.asff(), b.asff(ProductArn="arn:aws:securityhub:x::product/aws/inspector")),
         "detail.findings[1].ProductArn"),
        (b.security_hub_event(b.detail()), "detail.findings[0].productName"),
        (b.asff(ProductArn="arn:aws:securityhub:x::product/aws/macie"), "ProductArn"),
        (b.asff(ProductArn="arn:aws:securityhub:x::product/evil/aws/guardduty"), "ProductArn"),
        (b.asff(ProductArn=None, ProductName="Inspector"), "ProductName"),
        (b.asff(ProductArn=None, ProductName=None), "ProductName"),
        (b.asff(Id="arn:aws:guardduty:x:1:detector/d/finding/"), "Id"),
        (b.asff(Id=None), "Id"),
        (b.asff(AwsAccountId=None), "AwsAccountId"),
        (b.asff(Types=[]), "Types"),
        (b.asff(Types="x"), "Types"),
        (b.asff(Severity={}), "Severity.Product"),
        (b.asff(Severity={"Label": "HIGH"}), "Severity.Product"),
        (b.asff(Severity={"Normalized": 101}), "Severity.Normalized"),
        (b.asff(Severity={"Product": 11, "Normalized": 50}), "Severity.Product"),
        (b.asff(Resources="x"), "Resources"),
        (b.asff(ProductFields={"aws/guardduty/service/count": "many"}), "ProductFields.aws/guardduty/service/count"),
        (b.asff(ProductFields={"aws/guardduty/service/archived": "maybe"}),
         "ProductFields.aws/guardduty/service/archived"),
    ],
)  # fmt: skip
def test_other_documents(document: Any, field: str) -> None:
    assert refusal(b.dumps(document)).field == field


def test_hostile_name_in_asff() -> None:
    finding = b.asff(b.detail(workload_details=b.workload(namespace="../x")))
    field = "Resources[0].Details.Other/kubernetesDetails/kubernetesWorkloadDetails/namespace"
    assert refusal(b.dumps(finding)).field == field


def test_one_bad_finding_rejects_the_whole_input() -> None:
    assert refusal(b.dumps([b.detail(), b.detail(severity=99)])).field == "[1].severity"


def test_what_was_found_is_told_in_few_safe_words() -> None:
    error = refusal(json.dumps(b.detail(id_="\x1b]0;x\x07" + "é" * 100_000)))
    assert error.found.isprintable()
    assert "\\x1b" in error.found
    assert "100006 characters" in error.found


@pytest.mark.parametrize(
    "text",
    ["a b; $(id)", "../../x", "\x1b[2J", "a" * 100_000, "\ud800"],
    ids=["shell", "path", "escape", "long", "half"],
)
def test_what_an_attacker_types_never_stops_a_response(text: str) -> None:
    """The request, its user agent and an impersonated name are free text: cleaned and cut, never refused."""
    finding = b.detail(
        user_details=b.user("alice", impersonatedUser={"username": text, "groups": [text]}, sessionName=[text]),
        workload_details=b.workload(
            containers=[{"name": text, "image": text, "volumeMounts": [{"name": text, "mountPath": text}]}]
        ),
        service={"action": b.api_call_action(userAgent=text, requestUri=text, resourceName=text, namespace=text)},
        title=text,
        description=text,
    )
    (found,) = read_findings(json.dumps(finding))
    assert found.api_call is not None
    assert found.workload is not None
    assert found.user is not None
    assert found.user.impersonated is not None
    for clean in (
        found.title,
        found.description,
        found.api_call.user_agent,
        found.api_call.resource_name,
        found.user.impersonated.username,
        found.workload.containers[0].image,
    ):
        assert clean.isprintable()
        assert 0 < len(clean) <= 4096
    found.model_dump_json().encode()


def test_a_username_that_is_too_long_is_cut_so_that_it_names_nobody() -> None:
    long = "system:serviceaccount:shop:" + "a" * 2000
    (found,) = read_findings(b.dumps(b.detail(user_details=b.user(long))))
    assert found.user is not None
    assert len(found.user.username) == 1024
    assert found.user.username.endswith("…")


def test_long_lists_are_cut_with_a_warning() -> None:
    (found,) = read_findings(b.dumps(b.detail(user_details=b.user(groups=[f"g{i}" for i in range(2000)]))))
    assert found.user is not None
    assert len(found.user.groups) == 500
    assert "kubernetesUserDetails.groups: 2000 items, read 500" in found.warnings[0]
