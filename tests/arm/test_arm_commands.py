from __future__ import annotations

import sys

import pytest

from sigedge.arm.commands import last_complaint, require_tools, run_tool
from sigedge.arm.errors import ArmUnavailableError
from sigedge_runtime.errors import ParityError


def test_what_a_program_prints_is_returned() -> None:
    assert run_tool([sys.executable, "-c", "print('seen')"], "look") == "seen\n"


def test_the_environment_is_the_one_given() -> None:
    code = "import os; print(os.environ.get('HOME'), os.environ['MARK'])"
    assert run_tool([sys.executable, "-c", code], "look", {"MARK": "set"}) == "None set\n"


@pytest.mark.parametrize("failure", [ArmUnavailableError, ParityError])
def test_a_failure_is_one_sentence_with_the_complaint_and_the_remedy(failure: type[Exception]) -> None:
    code = "import sys; print('E: no such package.', file=sys.stderr); print('W: noise', file=sys.stderr); sys.exit(9)"
    with pytest.raises(failure, match=r"^python\S* failed \(E: no such package\); buy a cable\.$") as caught:
        run_tool([sys.executable, "-c", code], "buy a cable", None, failure)
    assert type(caught.value) is failure


def test_a_program_that_is_not_there_makes_arm_unavailable() -> None:
    with pytest.raises(ArmUnavailableError, match=r"/nowhere/qemu cannot be run .*; install it\."):
        run_tool(["/nowhere/qemu"], "install it", None, ParityError)


def test_missing_tools_are_named_together() -> None:
    require_tools("sh")
    with pytest.raises(ArmUnavailableError, match=r"without no-such-a and no-such-b;.* install them"):
        require_tools("no-such-a", "sh", "no-such-b")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "it says nothing"),
        ("one\ntwo\n", "two"),
        ("ERROR: no wheel\nnotice: upgrade", "ERROR: no wheel"),
        ("Error: first\nerror: second\n", "error: second"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_last_complaint(text: str, found: str) -> None:
    assert last_complaint(text) == found
