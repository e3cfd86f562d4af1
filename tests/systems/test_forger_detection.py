"""Spectra, processing, and the error rates of a detector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.fft import dctn

from sigedge.evaluation.metrics import auc
from sigedge.systems.forger.detection import SpectrumBatches, detector_scores
from sigedge.systems.forger.measures import auc_interval, detection_figures, mean_figure, numbered
from sigedge.systems.forger.processing import PROCESSINGS, binarised, compressed, processed, resized
from sigedge.systems.forger.recipe import Detection
from sigedge.systems.forger.specimens import BONA_FIDE, Specimens, joined, named
from sigedge.systems.forger.spectra import HIGHEST, LOWEST, log_spectra, profile, spectrum_canvases
from sigedge_models.forger.detector import Detector
from sigedge_runtime.errors import DataError

Image = NDArray[np.uint8]


def noise(count: int, seed: int = 0, shape: tuple[int, int] = (16, 32)) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def specimens(count: int, species: str, seed: int = 0) -> Specimens:
    return named(noise(count, seed), [f"s{number % 3}" for number in range(count)], species)


def test_the_spectrum_is_that_of_a_textbook() -> None:
    image = noise(1)
    expected = np.log10(np.abs(dctn(image[0] / 255.0, type=2, norm="ortho")))
    found = log_spectra(image)[0]
    clear = (expected > LOWEST + 1) & (expected < HIGHEST)
    assert clear.sum() > 400
    assert np.allclose(found[clear], expected[clear], atol=1e-3)
    assert found.min() >= LOWEST and found[0, 0] == np.float32(HIGHEST), "much ink is cut off"


def test_a_plain_image_has_one_frequency() -> None:
    spectrum = log_spectra(np.full((1, 64, 128), 5, np.uint8))[0]
    assert spectrum[0, 0] == pytest.approx(np.log10(np.sqrt(64 * 128) * 5 / 255), abs=1e-4)
    assert spectrum.ravel()[1:].max() == np.float32(LOWEST)


@given(st.integers(0, 2**32 - 1))
def test_canvases_hold_the_spectrum_in_256_steps(seed: int) -> None:
    images = noise(2, seed)
    canvases = spectrum_canvases(images)
    assert canvases.dtype == np.uint8 and canvases.shape == images.shape
    back = canvases / 255.0 * (HIGHEST - LOWEST) + LOWEST
    assert np.abs(back - log_spectra(images)).max() <= 0.5 * (HIGHEST - LOWEST) / 255 + 1e-5


def test_empty_paper_has_a_spectrum_too() -> None:
    assert (spectrum_canvases(np.zeros((1, 64, 128), np.uint8)) == 0).all()


def test_a_profile_tells_smooth_from_rough() -> None:
    rough = noise(4)
    smooth = np.stack([np.repeat(np.repeat(image[:4, :8], 4, 0), 4, 1) for image in rough])
    assert profile(log_spectra(smooth), 8)[-1] < profile(log_spectra(rough), 8)[-1]
    flat = profile(np.full((2, 16, 32), 0.25, np.float32), 8)
    assert np.allclose(flat, 0.25)


def test_processing_does_what_its_name_says() -> None:
    image = noise(1, shape=(64, 128))[0]
    assert set(np.unique(binarised(image))) == {0, 255}
    assert np.array_equal(binarised(binarised(image)), binarised(image))
    assert profile(log_spectra(resized(image)[None]), 8)[-1] < profile(log_spectra(image[None]), 8)[-1]
    assert 0 < np.abs(compressed(image).astype(int) - image).mean() < 60
    assert np.array_equal(processed(image[None], "none")[0], image)
    for name in PROCESSINGS:
        assert processed(image[None], name).shape == (1, 64, 128)


def test_batches_are_balanced_and_repeatable() -> None:
    given_to = joined([specimens(9, BONA_FIDE), specimens(3, "one", 1), specimens(30, "two", 2)])
    settings = Detection(batch=40, steps_per_epoch=3, processed=0.5)
    kinds = np.arange(len(given_to), dtype=np.uint8)
    # Each canvas says which processing and which image it is.
    spectra = np.zeros((len(PROCESSINGS), len(given_to), 4, 4), np.uint8)
    spectra[:, :, 0, 0], spectra[1:, :, 0, 1] = kinds, 1
    batches = SpectrumBatches(spectra, given_to, settings, seed=4, epoch=1)
    canvases, labels = batches[2]
    assert torch.equal(canvases, SpectrumBatches(spectra, given_to, settings, 4, 1)[2][0])
    assert not torch.equal(canvases, SpectrumBatches(spectra, given_to, settings, 4, 2)[2][0])
    assert labels.tolist() == [0] * 20 + [1] * 20
    rows = canvases[:, 0, 0, 0].numpy().astype(int)
    assert (rows[:20] < 9).all() and (rows[20:] >= 9).all()
    assert 4 <= (rows[20:] < 12).sum() <= 16, "a rare species comes as often as a common one"
    assert 0.2 < canvases[:, 0, 0, 1].mean() < 0.8
    with pytest.raises(IndexError):
        batches[3]


def test_scores_are_differences_of_logits() -> None:
    torch.manual_seed(1)
    detector, images = Detector(16, 32), noise(5)
    logits = detector(torch.from_numpy(spectrum_canvases(images)[:, None].astype(np.float32))).detach()
    assert np.allclose(detector_scores(detector, images), (logits[:, 1] - logits[:, 0]).numpy(), atol=1e-5)


def test_figures_of_a_known_case() -> None:
    given_to = joined([specimens(4, BONA_FIDE), specimens(3, "one"), specimens(2, "two")])
    scores = np.array([0.1, 0.2, 0.3, 0.9, 0.8, 0.85, 0.4, 0.95, 0.97])
    found = detection_figures(scores, given_to, threshold=0.5)
    assert found["bona_fide"] == 4 and found["generated"] == {"one": 3, "two": 2}
    assert found["bpcer"] == 0.25
    assert found["apcer"]["one"] == pytest.approx(1 / 3) and found["apcer"]["two"] == 0
    assert found["auc"] == pytest.approx(auc(scores[4:], scores[:4]))
    for name in ("auc", "eer", "bpcer"):
        low, high = found[f"{name}_ci95"]
        assert 0 <= low <= found[name] <= high <= 1
    assert len(found["apcer"]["one_ci95"]) == 2


def test_figures_need_both_kinds() -> None:
    with pytest.raises(DataError):
        detection_figures(np.array([0.1, 0.2]), specimens(2, BONA_FIDE), 0.5)


@given(st.integers(0, 2**32 - 1))
def test_the_interval_of_the_area_surrounds_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    generated = np.tile([False, True], 40)
    scores = np.round(random.normal(size=80) + generated, 1)  # rounded: ties occur
    owners = np.repeat(np.arange(20), 4)
    interval = auc_interval(scores, generated, owners)
    assert interval is not None
    assert interval[0] <= auc(scores[generated], scores[~generated]) <= interval[1]
    assert auc_interval(scores, generated, np.zeros(80, np.int64)) is None


def test_the_interval_of_a_perfect_detector_is_a_point() -> None:
    generated = np.tile([False, True], 10)
    assert auc_interval(generated.astype(float), generated, np.arange(20) // 2) == (1.0, 1.0)


def test_means_are_resampled_by_owner() -> None:
    values = np.array([1, 1, 1, 1, 0, 0])
    together = mean_figure("share", values, np.array([0, 0, 0, 0, 1, 1]))
    assert together["share"] == pytest.approx(2 / 3)
    assert together["share_ci95"] == [0.0, 1.0]
    assert mean_figure("share", values, np.zeros(6, np.int64))["share_ci95"] is None


def test_names_become_numbers() -> None:
    assert numbered(("b", "a", "b")).tolist() == [1, 0, 1]


def test_specimens_keep_rows_together() -> None:
    both = joined([specimens(3, BONA_FIDE), specimens(2, "one", 1)])
    assert both.generated.tolist() == [False, False, False, True, True]
    assert np.array_equal(both.of("one").images, noise(2, 1))
    assert both.of("one").signers == ("s0", "s1")
    assert len(both.of("nobody")) == 0
