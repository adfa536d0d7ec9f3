"""Whatever comes in, findings or InputError come out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import InputError
from findings.catalogue import lookup
from findings.model import Finding
from findings.reader import read_findings
from findings.subject import SubjectKind, subjects_of
from tests.findings import builders as b

BOUNDED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["", "../x", "system:serviceaccount:a:b", "\x00", "\ud800", "arn:aws:iam::111122223333:user/x", "[]"]
    ),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
SEEDS = [
    b.detail(key_details=b.access_key()),
    b.attack_sequence(),
    b.eventbridge_event(),
    b.get_findings(b.detail(), b.attack_sequence()),
    b.asff(b.detail(key_details=b.access_key())),
    b.security_hub_event(),
    [b.detail(), b.asff()],
]


def read_anything(data: bytes | str) -> list[Finding]:
    try:
        found = read_findings(data)
    except InputError as error:
        assert error.field
        assert error.expected
        assert str(error).isprintable()
        assert len(error.found) < 200
        return []
    assert found
    for finding in found:
        # A finding has to survive a history, whatever it was made from.
        assert Finding.model_validate_json(finding.model_dump_json().encode()) == finding
        lookup(finding.type)
        subjects = subjects_of(finding)
        assert subjects
        for subject in subjects:
            if subject.kind is SubjectKind.SERVICE_ACCOUNT:
                assert f"system:serviceaccount:{subject.namespace}:{subject.name}" == subject.username
                assert not set("/: \n\x00") & set(subject.namespace + subject.name)
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(p for key, item in inner for p in places(item, (*path, key)))]


@BOUNDED
@given(st.binary(max_size=64) | st.text(max_size=64))
def test_any_bytes_and_text(data: bytes | str) -> None:
    assert read_anything(data) == []


@BOUNDED
@given(JSON)
def test_any_json(value: Any) -> None:
    read_anything(json.dumps(value))


@settings(BOUNDED, max_examples=1200)
@given(st.data())
def test_findings_with_places_replaced(data: st.DataObject) -> None:
    """Real findings with one to three places replaced by anything, removed, or moved under another one's value."""
    document = json.loads(json.dumps(data.draw(st.sampled_from(SEEDS))))
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from(places(document)))
        if not where:
            continue
        holder = document
        for key in where[:-1]:
            holder = holder[key]
        action = data.draw(st.sampled_from(["replace", "remove", "duplicate"]))
        if action == "replace":
            holder[where[-1]] = data.draw(JSON)
        elif action == "remove":
            del holder[where[-1]]
        elif isinstance(holder, list):
            holder.append(holder[where[-1]])
        else:
            holder[data.draw(st.text(max_size=6))] = holder[where[-1]]
    read_anything(json.dumps(document))


@settings(BOUNDED, max_examples=400)
@given(
    st.dictionaries(
        st.lists(
            st.sampled_from(
                ["service", "action", "count", "a.0_", "a.1_", "a", "kubernetesApiCallAction.0_", "sourceIPs.2_"]
            ),
            min_size=1,
            max_size=5,
        ).map("/".join),
        SCALARS,
        max_size=8,
    )
)
def test_flat_keys_that_contradict_each_other(flat: dict[str, Any]) -> None:
    fields = {f"aws/guardduty/{key}": value for key, value in flat.items()}
    finding = b.asff(ProductFields=fields)
    finding["Resources"][0]["Details"]["Other"] = {f"kubernetesDetails/{k}": v for k, v in flat.items()}
    read_anything(json.dumps(finding))


@settings(BOUNDED, max_examples=200)
@given(st.integers(0, 5000), st.integers(0, 255))
def test_findings_cut_and_with_a_byte_changed(at: int, byte: int) -> None:
    raw = b.dumps(b.eventbridge_event())
    at %= len(raw)
    read_anything(raw[:at])
    read_anything(raw[:at] + bytes([byte]) + raw[at + 1 :])
