"""The AWS policies against the code: what it calls is granted, and nothing else is."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
IAM = ROOT / "deploy" / "iam"
_ACTION = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]+")
BESIDES = {
    # AWS asks for it when a role is given to a machine or to the pods of an account; no call has that name.
    "iam:PassRole",
    # The evidence store names its calls in words of its own (evidence/s3.py).
    "s3:GetObject",
    "s3:ListBucket",
    "s3:GetBucketObjectLockConfiguration",
    "s3:PutObject",
    "s3:AbortMultipartUpload",
    "s3:PutObjectRetention",
}


def called(function: str) -> set[str]:
    """The operations that the clients name around calls of one kind, `translated` or `_changing`."""
    found = set()
    for file in (ROOT / "clients" / "aws").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                first = node.args[0]
                if name == function and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return {operation for operation in found if _ACTION.fullmatch(operation)}


def statements(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((IAM / f"{name}.json").read_text())["Statement"]
    return found


def granted(name: str) -> set[str]:
    return {action for statement in statements(name) for action in statement["Action"]}


def test_what_the_code_calls_is_granted_and_nothing_else() -> None:
    assert called("_changing"), "the clients name what they change"
    assert granted("read") - BESIDES == called("translated") - called("_changing")
    assert granted("act") - BESIDES == called("_changing")


def test_reading_grants_no_change() -> None:
    changing = re.compile(r":(Create|Delete|Put|Update|Set|Modify|Terminate|Start|Associate|Disassociate|Attach|Pass)")
    assert [action for action in granted("read") if changing.search(action)] == []


@pytest.mark.parametrize("name", ["read", "act"])
def test_a_policy_is_one_that_aws_takes(name: str) -> None:
    text = (IAM / f"{name}.json").read_text()
    # The limit of a managed policy, which does not count blanks:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(re.sub(r"\s", "", text)) <= 6_144
    sids = [statement["Sid"] for statement in statements(name)]
    assert len(sids) == len(set(sids))
    assert all("*" not in action for action in granted(name))


def test_every_permission_is_explained_once() -> None:
    section = (ROOT / "docs" / "reference" / "permissions.md").read_text().partition("## AWS")[2]
    explained = re.findall(r"^\| `([a-z0-9-]+:[A-Za-z0-9]+)` \|", section, re.MULTILINE)
    assert sorted(explained) == sorted([*granted("read"), *granted("act")])
