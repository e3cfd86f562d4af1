from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sigedge.arm.job import REFERENCES, Job, Picture, Trial, draw_trials


def people(samples: list[int]) -> list[Picture]:
    return [
        Picture(f"{signer}-{sample}.png", "synthetic", f"signer-{signer}")
        for signer, count in enumerate(samples)
        for sample in range(count)
    ]


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = Job((Picture("a.png", "odd"), *people([2])), {"edgesig": "/bundle"}, (Trial(0, (1,)),))
    job.write(tmp_path / "job.json")
    assert Job.read(tmp_path / "job.json") == job
    assert [picture.path for picture in job.signatures] == ["0-0.png", "0-1.png"]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 30), st.integers(0, 2**32))
def test_trials_take_the_references_of_one_signer(samples: list[int], count: int, seed: int) -> None:
    pictures = people(samples)
    trials = draw_trials(pictures, count, seed)
    assert trials == draw_trials(pictures, count, seed)
    assert len(trials) == (count if max(samples) > max(REFERENCES) else 0)
    for number, trial in enumerate(trials):
        assert len({pictures[reference].signer for reference in trial.references}) == 1
        assert len(set(trial.references)) == len(trial.references) == REFERENCES[number % len(REFERENCES)]
        assert 0 <= trial.query < len(pictures)


def test_both_kinds_of_trials_are_drawn() -> None:
    pictures = people([8, 8, 8])
    trials = draw_trials(pictures, 200, 1)
    same = [pictures[trial.query].signer == pictures[trial.references[0]].signer for trial in trials]
    assert 0.4 < sum(same) / len(same) < 0.9
