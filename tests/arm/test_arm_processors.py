from __future__ import annotations

import pytest

from sigedge.arm.processors import PROCESSORS, count_of


@pytest.mark.parametrize(("possible", "count"), [("0", 1), ("0-3\n", 4), ("0,2-5", 6), ("0-1,4", 5), ("", 1), ("?", 1)])
def test_processors_are_counted_up_to_the_last_one(possible: str, count: int) -> None:
    assert count_of(possible) == count


def entries(text: str) -> list[dict[str, str]]:
    return [
        {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in block.splitlines())}
        for block in text.strip().split("\n\n")
    ]


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda processor: processor.name)
def test_every_processor_has_an_entry_of_its_own(processor) -> None:
    found = entries(processor.cpuinfo(3))
    assert [entry["processor"] for entry in found] == ["0", "1", "2"]
    assert {entry["CPU part"] for entry in found} == {processor.part}
    assert all("asimd" in entry["Features"].split() for entry in found)


def test_the_two_cores_make_libraries_choose_other_code() -> None:
    small, large = (set(processor.features.split()) for processor in PROCESSORS)
    assert small < large and {"asimddp", "asimdhp"} <= large - small
    assert len({processor.part for processor in PROCESSORS}) == 2
