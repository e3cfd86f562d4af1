from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sigedge.synthesis as synthesis
from sigedge.synthesis import Sample, ScanConditions, SignerStyle, Synthesiser, SyntheticSigner
from sigedge.synthesis.style import FAMILIES

seeds = st.integers(0, 2**63 - 1)


def digest(sample: Sample) -> str:
    return hashlib.sha256(sample.image.tobytes() + sample.trajectory.tobytes()).hexdigest()


def draw(signer: SyntheticSigner, label: str, index: int) -> Sample:
    return signer.genuine(index) if label == "genuine" else signer.skilled_forgery(index)


def test_public_names() -> None:
    assert synthesis.__all__ == [
        "Sample",
        "ScanConditions",
        "SignerStyle",
        "Synthesiser",
        "SyntheticSigner",
        "cached_dataset",
        "write_dataset",
    ]
    assert all(hasattr(synthesis, name) for name in synthesis.__all__)


@given(seeds, st.integers(0, 500), st.sampled_from(["genuine", "skilled"]), st.integers(0, 40))
@settings(max_examples=40)
def test_every_sample_is_a_usable_scan(seed: int, number: int, label: str, index: int) -> None:
    sample = draw(Synthesiser(seed).signer(number), label, index)
    image = sample.image
    assert image.dtype == np.uint8 and image.ndim in (2, 3)
    assert 60 <= image.shape[1] <= 1200 and 40 <= image.shape[0] <= 1000
    assert (sample.signer, sample.label, sample.index) == (number, label, index)
    grey = image if image.ndim == 2 else image.mean(axis=2)
    assert np.median(grey) - np.percentile(grey, 0.1) > 40.0, "ink must stand out from the paper"


@given(seeds, st.integers(0, 40))
@settings(max_examples=40)
def test_ink_never_touches_the_border(seed: int, index: int) -> None:
    """Drawn without margins on clean paper, so that anything dark is ink."""
    for label in ("genuine", "skilled"):
        signer = SyntheticSigner(seed)
        scan = dataclasses.replace(ScanConditions.random(np.random.default_rng(seed)), **CLEAN_PAPER)
        image = (signer.genuine if label == "genuine" else signer.skilled_forgery)(index, scan).image
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert border.min() == 255
        assert (image < 200).any()


CLEAN_PAPER = {
    "margins": (0.0, 0.0, 0.0, 0.0),
    "ink": (0, 0, 0),
    "opacity": 1.0,
    "paper": (255, 255, 255),
    "gradient": (0.0, 0.0),
    "texture": 0.0,
    "stain": 0.0,
    "noise": 0.0,
    "jpeg_quality": 0,
    "colour": False,
}


@given(seeds)
@settings(max_examples=25)
def test_the_trajectory_lies_on_the_ink(seed: int) -> None:
    sample = SyntheticSigner(seed).genuine(0, ScanConditions.clean())
    path = sample.trajectory
    assert path.dtype == np.float32 and path.shape[1] == 3
    assert set(np.unique(path[:, 2])) == {0.0, 1.0}
    assert path[-1, 2] == 0.0
    inside = path[path[:, 2] == 1.0][:, :2].round().astype(int)
    assert (sample.image[inside[:, 1], inside[:, 0]] < 200).mean() > 0.97


@given(seeds, st.integers(0, 30))
@settings(max_examples=15)
def test_equal_seeds_give_equal_bytes(seed: int, index: int) -> None:
    for label in ("genuine", "skilled"):
        assert digest(draw(SyntheticSigner(seed), label, index)) == digest(draw(SyntheticSigner(seed), label, index))


def test_the_order_of_calls_does_not_matter() -> None:
    jobs = [(number, label, index) for number in range(3) for label in ("genuine", "skilled") for index in range(3)]
    population = Synthesiser(9)
    forwards = {job: digest(draw(population.signer(job[0]), *job[1:])) for job in jobs}
    signers = {number: Synthesiser(9).signer(number) for number in range(3)}
    backwards = {job: digest(draw(signers[job[0]], *job[1:])) for job in reversed(jobs)}
    assert forwards == backwards
    assert len(set(forwards.values())) == len(jobs)


def test_another_process_draws_the_same(repository: Path) -> None:
    code = (
        "import hashlib; from sigedge.synthesis import Synthesiser;"
        "s = Synthesiser(3).signer(5).skilled_forgery(2);"
        "print(hashlib.sha256(s.image.tobytes() + s.trajectory.tobytes()).hexdigest())"
    )
    paths = [str(repository), str(repository / "runtime")]
    program = f"import sys; sys.path[:0] = {paths!r}; {code}"
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == digest(Synthesiser(3).signer(5).skilled_forgery(2))


def test_synthesis_imports_neither_torch_nor_scipy(repository: Path) -> None:
    paths = [str(repository), str(repository / "runtime")]
    program = (
        f"import sys; sys.path[:0] = {paths!r}; import sigedge.synthesis;"
        "print([name for name in ('torch', 'scipy', 'tensorflow', 'onnx') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_signers_come_in_every_family_and_none_twice() -> None:
    population = Synthesiser(0)
    styles = [population.signer(number).style for number in range(300)]
    assert {style.family for style in styles} == set(FAMILIES)
    assert len(set(styles)) == len(styles)
    assert SignerStyle.from_seed(7) == SignerStyle.from_seed(7)


def test_signatures_span_the_shapes_of_real_ones() -> None:
    """Aspect ratios from about 1:1 to 6:1, one to a dozen pen-down runs."""
    population = Synthesiser(1)
    paths = [population.signer(n).genuine(0, ScanConditions.clean()).trajectory for n in range(60)]
    spans = np.array([np.ptp(path[:, :2], axis=0) for path in paths])
    aspects = spans[:, 0] / spans[:, 1]
    runs = np.array([(path[:, 2] == 0.0).sum() for path in paths])
    assert np.percentile(aspects, 10) < 1.6 and np.percentile(aspects, 90) > 4.0
    assert runs.min() <= 2 and 3 <= np.median(runs) <= 15


@pytest.mark.parametrize("call", ["seed", "signer", "genuine", "forgery"])
def test_negative_numbers_are_refused_in_words(call: str) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        {
            "seed": lambda: Synthesiser(-1),
            "signer": lambda: Synthesiser(0).signer(-1),
            "genuine": lambda: SyntheticSigner(0).genuine(-1),
            "forgery": lambda: SyntheticSigner(0).skilled_forgery(-1),
        }[call]()
