"""Rows come out of the text of aws-auth and go back, and nothing else in it moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from activities.user.aws_auth_text import rows_of, with_rows, without_rows
from activities.user.principals import own_text, principal_of, renders
from errors import InputError

TEXT = """\
# nodes
- rolearn: arn:aws:iam::1:role/node
  username: system:node:{{EC2PrivateDNSName}}
  groups:
  - system:bootstrappers
  - system:nodes
# the one
- rolearn: "arn:aws:iam::1:role/bad"   # why
  username: bad
  groups: [system:masters]

# ops
-
  groups:
    - ops
  username: >-
    folded
    # name
  rolearn: arn:aws:iam::1:role/ops
"""
STYLES = {
    "block": TEXT,
    "crlf": TEXT.replace("\n", "\r\n"),
    "unended": TEXT.rstrip("\n"),
    "indented": "".join(f"  {line}" if line.strip() else line for line in TEXT.splitlines(keepends=True)),
    "braces": "[{rolearn: a, username: b}, {rolearn: c}, # odd\n {rolearn: d}]\n",
    "json": '[{"rolearn":"a","username":"b"},{"rolearn":"c"},{"rolearn":"d","groups":["x"]}]',
    "document": f"---\n{TEXT}",
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("gone", [[0], [1], [2], [0, 2], [1, 2], [0, 1, 2]])
def test_rows_go_and_return(style: str, gone: list[int]) -> None:
    text = STYLES[style]
    rows = rows_of(text, "m")
    left, taken = without_rows(text, gone, "m")
    assert rows_of(left, "m") == [row for i, row in enumerate(rows) if i not in gone]
    assert rows_of(with_rows(left, taken, "m"), "m") == rows
    # As the cluster's own reader would have it, which is not ours.
    assert len(YAML(typ="safe").load(left) or []) == len(rows) - len(gone)


def test_every_other_byte_stays() -> None:
    left, _ = without_rows(TEXT, [1], "m")
    gone = '- rolearn: "arn:aws:iam::1:role/bad"   # why\n  username: bad\n  groups: [system:masters]\n'
    assert left == TEXT.replace(gone, "")


def test_rows_that_stand_are_not_put_back_twice() -> None:
    _, taken = without_rows(TEXT, [1], "m")
    assert with_rows(TEXT, taken, "m") == TEXT


def test_a_row_returns_to_a_map_written_in_another_way() -> None:
    _, taken = without_rows(STYLES["indented"], [1], "m")
    for text in ("- rolearn: x\n", "[{rolearn: x}]", "", "[]", "# empty\n[]\n", "   - rolearn: x\n"):
        back = rows_of(with_rows(text, taken, "m"), "m")
        assert sorted(str(r["rolearn"]) for r in back) == sorted(
            [*(str(r["rolearn"]) for r in rows_of(text, "m")), "arn:aws:iam::1:role/bad"]
        )


@pytest.mark.parametrize(
    "text", ["a: b", "- x", "{{", '"', "- a: 1\n  a: 2\n", "- &a {x: 1}\n- *a\n", "--- a\n--- b\n"]
)
def test_what_is_no_list_of_rows_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        rows_of(text, "mapRoles")
    with pytest.raises(InputError):
        without_rows(text, [0], "mapRoles")


@given(st.text(max_size=200))
def test_no_text_breaks_more_than_itself(text: str) -> None:
    try:
        rows = rows_of(text, "m")
        for i in range(len(rows)):
            without_rows(text, [i], "m")
    except InputError:
        pass


@pytest.mark.parametrize(
    ("template", "name", "fits"),
    [
        ("jane", "jane", True),
        ("jane", "Jane", False),
        ("j.ne", "jane", False),
        ("a:{{SessionName}}", "a:bob", True),
        ("a:{{SessionName}}", "a:bob@example.com", False),
        ("a:{{SessionNameRaw}}", "a:bob@example.com", True),
        ("a:{{SessionName}}", "a:bob\nx", False),
        ("{{AccountID}}", "123456789012", True),
        ("{{AccountID}}", "12345678901", False),
        ("{{Unknown}}", "{{Unknown}}", True),
        ("{{Unknown}}", "x", False),
        ("system:node:{{EC2PrivateDNSName}}", "system:node:ip-10-0-0-1.ec2.internal", True),
        ("{{SessionName}}" * 5, "aaaaa", False),
    ],
)
def test_templates_fit_what_they_render_to(template: str, name: str, fits: bool) -> None:
    assert renders(template, name) is fits


def test_a_hostile_template_takes_no_time() -> None:
    assert not renders("{{SessionNameRaw}}" * 500, "a" * 1000 + "!")
    assert not renders("{{SessionNameRaw}}" * 4, "a" * 300)


def test_a_principal_is_known_without_path_and_case() -> None:
    one = principal_of("arn:aws:iam::123456789012:role/team/Path/Dev")
    assert one == principal_of("arn:aws:sts::123456789012:assumed-role/dev/session")
    assert one != principal_of("arn:aws:iam::123456789012:user/dev")
    assert one != principal_of("arn:aws:iam::999999999999:role/dev")
    assert principal_of("arn:aws:iam::123456789012:role/") is None
    assert principal_of("jane") is None
    assert own_text("{{SessionName}}") == 0
