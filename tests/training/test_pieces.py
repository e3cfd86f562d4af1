"""Recipes, augmentation, batches, loss and decision rule, each by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sigedge.data import Record
from sigedge.evaluation import make_protocol, score_trials
from sigedge.evaluation.metrics import equal_error_rate
from sigedge.evaluation.trials import GENUINE, SKILLED, score_trials_by_rule
from sigedge.training import Recipe, fit_decision, load_recipe
from sigedge.training.augmentation import augment, imagine_hand, warp
from sigedge.training.batches import Batches, Pool, make_pool
from sigedge.training.decision import score_rules, validation_figures
from sigedge.training.losses import VerificationLoss
from sigedge.training.recipe import Augmentation, SignerVariation
from sigedge_runtime.decision import Decision, ScoreRule
from sigedge_runtime.errors import DataError, RecipeError
from sigedge_runtime.matching import LocalMatching

VALUES = {
    "architecture": "edgesig",
    "name": "tiny",
    "version": "1",
    "licence": "none",
    "data": {"signers_per_batch": {"a": 2, "b": 1}, "genuine": 3, "forged": 2},
    "optimisation": {"steps": 4, "steps_per_epoch": 2},
}
RIGID = SignerVariation(probability=1, mirror=0, flip=0, rotation=0, aspect=0, shear=0, warp=0)
STILL = Augmentation(rotation=0, scale=0, aspect=0, shear=0, shift=0, elastic=0, erase=0)


def wave_canvas(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    canvas = np.zeros((128, 256), np.uint8)
    for x in range(20, 230):
        y = int(64 + 40 * np.sin(x / 15 + seed) + rng.integers(0, 2))
        canvas[y - 1 : y + 2, x] = 255
    return canvas


class TestRecipe:
    def write(self, folder: Path, values: object) -> Path:
        path = folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    def test_reads_a_file(self, tmp_path: Path) -> None:
        recipe = load_recipe(self.write(tmp_path, VALUES))
        assert recipe.data.signers_per_batch == {"a": 2, "b": 1}
        assert recipe.optimisation.steps == 4

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"wings": 2}, "wings"),
            ({"seed": "x"}, "seed"),
            ({"loss": {"temperature": -1}}, "loss.temperature"),
            ({"data": {"signers_per_batch": {"a": 0}}}, "data.signers_per_batch.a"),
        ],
    )
    def test_names_the_wrong_entry(self, tmp_path: Path, change: dict[str, object], named: str) -> None:
        path = self.write(tmp_path, VALUES | change)
        with pytest.raises(RecipeError, match=named) as raised:
            load_recipe(path)
        assert str(path) in str(raised.value)

    def test_a_missing_or_broken_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match=r"gone\.yaml"):
            load_recipe(tmp_path / "gone.yaml")
        (tmp_path / "broken.yaml").write_text("a: [")
        with pytest.raises(RecipeError, match=r"broken\.yaml"):
            load_recipe(tmp_path / "broken.yaml")


class TestAugmentation:
    def test_no_variation_changes_nothing(self) -> None:
        canvas = wave_canvas()
        assert np.array_equal(augment(canvas, STILL, np.random.default_rng(0)), canvas)

    @given(st.integers(0, 2**32 - 1))
    def test_stays_a_two_level_canvas_of_the_same_size(self, seed: int) -> None:
        result = augment(wave_canvas(), Augmentation(), np.random.default_rng(seed))
        assert result.shape == (128, 256)
        assert result.dtype == np.uint8
        assert set(np.unique(result)) <= {0, 255}

    @given(st.integers(0, 2**32 - 1))
    def test_is_a_function_of_the_seed(self, seed: int) -> None:
        first, second = (augment(wave_canvas(), Augmentation(), np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(first, second)

    def test_keeps_most_of_the_ink(self) -> None:
        canvas = wave_canvas()
        kept = [augment(canvas, Augmentation(), np.random.default_rng(seed)).mean() for seed in range(30)]
        assert np.mean(kept) == pytest.approx(canvas.mean(), rel=0.15)

    def test_strokes_become_wider_and_narrower_and_are_never_lost(self) -> None:
        canvas, settings = wave_canvas(), STILL.model_copy(update={"smooth": 1.6, "width": 0.3})
        ink = [augment(canvas, settings, np.random.default_rng(seed)).mean() / canvas.mean() for seed in range(40)]
        assert min(ink) < 0.95 and max(ink) > 1.05
        assert min(ink) > 0.6 and max(ink) < 1.6

    def test_smoothing_keeps_the_ink_and_rounds_its_corners(self) -> None:
        square = np.zeros((128, 256), np.uint8)
        square[40:80, 60:100] = 255
        settings = STILL.model_copy(update={"smooth": 3.0})
        found = [augment(square, settings, np.random.default_rng(seed)) for seed in range(10)]
        assert all(one.mean() == pytest.approx(square.mean(), rel=0.15) for one in found)
        assert all(one[60, 80] == 255 for one in found) and any(one[40, 60] == 0 for one in found)

    def test_an_empty_canvas_stays_empty(self) -> None:
        settings = STILL.model_copy(update={"smooth": 1.6, "width": 0.25})
        assert not augment(np.zeros((128, 256), np.uint8), settings, np.random.default_rng(0)).any()

    def test_shifts_by_no_more_than_asked(self) -> None:
        settings = STILL.model_copy(update={"shift": 5.0})
        columns = np.nonzero(augment(wave_canvas(), settings, np.random.default_rng(3)))[1]
        assert 15 <= columns.min() <= 25


class TestSignerVariation:
    def hand(self, seed: int = 0, **settings: float) -> np.ndarray:
        grid = imagine_hand((128, 256), RIGID.model_copy(update=settings), np.random.default_rng(seed))
        assert grid is not None
        return warp(wave_canvas(), grid)

    def test_nothing_varied_is_the_same_canvas(self) -> None:
        assert np.array_equal(self.hand(), wave_canvas())

    def test_mirrors_and_flips(self) -> None:
        assert np.array_equal(self.hand(mirror=1), wave_canvas()[:, ::-1])
        assert np.array_equal(self.hand(flip=1), wave_canvas()[::-1])

    def test_leaves_signers_alone_as_often_as_asked(self) -> None:
        random = np.random.default_rng(0)
        settings = RIGID.model_copy(update={"probability": 0.25})
        kept = [imagine_hand((128, 256), settings, random) is None for _ in range(400)]
        assert np.mean(kept) == pytest.approx(0.75, abs=0.07)

    @given(st.integers(0, 2**32 - 1))
    def test_keeps_the_ink_on_the_canvas(self, seed: int) -> None:
        varied = self.hand(seed, **SignerVariation(probability=1).model_dump())
        assert varied.shape == (128, 256)
        assert varied.mean() > 0.4 * wave_canvas().mean()

    def test_a_signers_samples_share_one_hand(self) -> None:
        values = VALUES | {"signer_variation": RIGID.model_dump() | {"mirror": 0.5}, "augmentation": STILL.model_dump()}
        same = make_pool(np.stack([wave_canvas()] * 7), ["s"] * 7, [True] * 4 + [False] * 3)
        recipe = Recipe.model_validate(values | {"data": {"signers_per_batch": {"a": 1}, "genuine": 3, "forged": 2}})
        batches = [Batches({"a": same}, recipe, epoch)[0][0].numpy() for epoch in range(12)]
        assert all((batch == batch[:1]).all() for batch in batches)
        assert len({batch[0].tobytes() for batch in batches}) == 2


def pool(signers: int, genuine: int = 4, forged: int = 3) -> Pool:
    names = [f"s{i}" for i in range(signers) for _ in range(genuine + forged)]
    flags = [j < genuine for _ in range(signers) for j in range(genuine + forged)]
    canvases = np.stack([wave_canvas(i // (genuine + forged)) for i in range(len(names))])
    return make_pool(canvases, names, flags)


class TestBatches:
    recipe = Recipe.model_validate(VALUES)

    def test_composition(self) -> None:
        canvases, signers, genuine = Batches({"a": pool(3), "b": pool(2)}, self.recipe, 0)[0]
        assert canvases.shape == (15, 1, 128, 256)
        assert canvases.dtype == torch.float32
        assert float(canvases.max()) == 255
        assert signers.tolist() == [0] * 5 + [1] * 5 + [2] * 5
        assert genuine.tolist() == ([True] * 3 + [False] * 2) * 3

    def test_depends_on_seed_epoch_and_index_alone(self) -> None:
        pools = {"a": pool(3), "b": pool(2)}
        first, again = Batches(pools, self.recipe, 1)[1][0], Batches(pools, self.recipe, 1)[1][0]
        assert torch.equal(first, again)
        assert not torch.equal(first, Batches(pools, self.recipe, 2)[1][0])
        assert not torch.equal(first, Batches(pools, self.recipe, 1)[0][0])

    def test_ends(self) -> None:
        assert len(list(Batches({"a": pool(3), "b": pool(2)}, self.recipe, 0))) == 2

    def test_few_samples_make_a_smaller_batch(self) -> None:
        batch = Batches({"a": pool(2, genuine=2, forged=0), "b": pool(1, genuine=2, forged=1)}, self.recipe, 0)[0]
        assert len(batch[0]) == 2 + 2 + 3

    def test_a_signer_with_one_sample_is_left_out(self) -> None:
        canvases = np.zeros((3, 128, 256), np.uint8)
        assert len(make_pool(canvases, ["x", "x", "y"], [True, True, True])) == 1

    def test_nobody_left_is_an_error(self) -> None:
        with pytest.raises(DataError, match="two genuine"):
            make_pool(np.zeros((1, 128, 256), np.uint8), ["x"], [True])


class TestLoss:
    signers = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    genuine = torch.tensor([True, True, False, False] * 2)

    def embeddings(self, forgery: float) -> torch.Tensor:
        """Genuine samples on an axis of their own; forgeries turned towards them by `forgery`, 0 to 1."""
        rows = torch.zeros(8, 6)
        rows[0:2, 0] = rows[4:6, 1] = 1
        rows[2:4, 0] = rows[6:8, 1] = forgery
        rows[[2, 3, 6, 7], [2, 3, 4, 5]] = 1 - forgery
        return rows + 1e-3

    def test_closer_forgeries_cost_more(self) -> None:
        loss = VerificationLoss(0.1, 1.0)
        totals = [sum(map(float, loss(self.embeddings(f), self.signers, self.genuine))) for f in (0.0, 0.4, 0.8)]
        assert totals == sorted(totals)
        assert totals[2] > totals[0] + 0.5

    def test_length_does_not_matter(self) -> None:
        loss = VerificationLoss(0.1, 1.0)
        rows = self.embeddings(0.3)
        first, scaled = loss(rows, self.signers, self.genuine), loss(rows * 40, self.signers, self.genuine)
        assert float(first[0]) == pytest.approx(float(scaled[0]), rel=1e-4)

    def test_pair_weight_scales_the_pair_term(self) -> None:
        rows = self.embeddings(0.3)
        one, three = (VerificationLoss(0.1, w)(rows, self.signers, self.genuine)[1] for w in (1.0, 3.0))
        assert float(three) == pytest.approx(3 * float(one), rel=1e-5)

    def test_gradients_reach_embeddings_and_threshold(self) -> None:
        loss = VerificationLoss(0.1, 1.0)
        rows = self.embeddings(0.5).requires_grad_()
        sum(loss(rows, self.signers, self.genuine)).backward()  # type: ignore[union-attr]
        assert rows.grad is not None
        assert float(rows.grad.abs().sum()) > 0
        assert loss.offset.grad is not None

    def test_a_batch_without_forgeries_is_no_special_case(self) -> None:
        everyone = torch.ones(8, dtype=torch.bool)
        contrast, pairs = VerificationLoss(0.1, 1.0)(torch.randn(8, 6), self.signers, everyone)
        assert torch.isfinite(contrast + pairs)


def population(
    spread: float,
    forgery_distance: float,
    seed: int = 0,
    signers: int = 8,
    dataset: str = "made",
    steadiness: tuple[float, float] = (1.0, 1.0),
) -> tuple[list[Record], np.ndarray]:
    """Signers as directions, genuine samples around them, forgeries further out; some signers less steady than others.

    `steadiness`: smallest and largest factor of a signer's distances.
    """
    rng = np.random.default_rng(seed)
    records, rows = [], []
    for signer in range(signers):
        centre = rng.normal(size=16)
        centre /= np.linalg.norm(centre)
        steady = rng.uniform(*steadiness)
        for label, distance in (("genuine", spread), ("forged", forgery_distance)):
            for sample in range(12):
                rows.append(centre + steady * distance * rng.normal(size=16) / 4)
                records.append(Record(Path(f"{signer}-{label}-{sample}.png"), dataset, str(signer), label, sample))  # type: ignore[arg-type]
    return records, np.asarray(rows, np.float32)


class TestDecision:
    CELLS = LocalMatching(2, 2, 1, 1)

    @pytest.mark.parametrize("spread", [0.3, 0.8])
    def test_operating_points_are_ordered(self, spread: float) -> None:
        decision = fit_decision(*population(spread, 1.2), seed=0)
        for references in (1, 3, 5, 10):
            points = {name: decision.operating_point(name, references) for name in decision.names}
            assert points["convenience"].threshold <= points["balanced"].threshold <= points["high-security"].threshold
            assert points["convenience"].frr <= 0.05
            assert points["balanced"].far <= points["convenience"].far
            assert points["high-security"].far <= 0.03

    def test_probability_one_half_lies_between_the_classes(self) -> None:
        decision = fit_decision(*population(0.3, 1.5), seed=0)
        calibration = decision.calibration(5)
        middle = -calibration.intercept / calibration.slope
        assert decision.operating_point("convenience", 5).threshold - 0.3 < middle < 1

    def test_balanced_is_the_equal_error_threshold(self) -> None:
        records, rows = population(0.6, 0.9)
        point = fit_decision(records, rows, seed=0).operating_point("balanced", 1)
        assert 0.05 < point.frr < 0.5

    def test_a_model_that_learned_nothing_still_has_a_rule(self) -> None:
        records, rows = population(1.5, 0.1)
        assert fit_decision(records, rows, seed=0).calibration(1).slope > 0

    def test_the_rule_is_the_one_with_the_fewest_errors(self) -> None:
        records, rows = population(0.6, 0.9, signers=3)
        decision = fit_decision(records, rows, seed=0, matching=self.CELLS)
        rules = score_rules(0.5)
        protocols = [make_protocol(records, count, seed=0) for count in (1, 2, 3, 5, 10)]
        scored = [score_trials_by_rule(protocol, rows, rules, self.CELLS) for protocol in protocols]
        errors = {
            rule: np.mean([equal_error_rate(trials.of(GENUINE), trials.of(SKILLED)) for trials in of_rule])
            for rule, of_rule in zip(rules, zip(*scored, strict=True), strict=True)
        }
        best = min(errors, key=lambda rule: errors[rule])
        assert decision.rule._replace(usual_consistency=None) == best._replace(usual_consistency=None)
        assert errors[best] < max(errors.values())

    def test_the_usual_consistency_is_that_of_the_enrolments(self) -> None:
        records, rows = population(0.6, 0.9, signers=4, steadiness=(0.3, 1.7))
        decision = fit_decision(records, rows, seed=0, matching=self.CELLS)
        assert decision.usual_consistency is not None, "where signers differ, scores are relative to them"
        prepared = self.CELLS.prepare(rows)
        found = [
            self.CELLS.consistencies(prepared[list(draw.references)], np.array([count]))[0]
            for count in (2, 3, 5, 10)
            for draw in make_protocol(records, count, seed=0).draws
        ]
        assert decision.usual_consistency.mean == pytest.approx(np.mean(found))

    def test_data_sets_count_the_same_however_many_signers_they_have(self) -> None:
        steady = population(0.3, 0.8, signers=9, dataset="steady", steadiness=(0.5, 1.5))
        wild = population(0.7, 1.0, seed=1, signers=3, dataset="wild", steadiness=(0.5, 1.5))
        records, rows = [*steady[0], *wild[0]], np.concatenate([steady[1], wild[1]])
        decision = fit_decision(records, rows, seed=0)
        point = decision.operating_point("balanced", 3)
        protocol = make_protocol(records, 3, seed=0)
        trials = score_trials(protocol, rows, decision.rule)
        parts = [trials.claiming({record.identity for record in one}) for one, _ in (steady, wild)]
        missed = [(part.of(GENUINE) < point.threshold).mean() for part in parts]
        taken = [(part.of(SKILLED) >= point.threshold).mean() for part in parts]
        assert missed[0] < missed[1] and point.frr == pytest.approx(np.mean(missed))
        assert np.mean(taken) == pytest.approx(point.frr, abs=0.01), "balanced over the sets, not over the trials"
        usual = decision.usual_consistency
        assert usual is not None
        prepared, means = decision.similarity.prepare(rows), []
        for one, _ in (steady, wild):
            signers = {record.identity for record in one}
            draws = [
                draw
                for count in (2, 3, 5, 10)
                for draw in make_protocol(records, count).draws
                if draw.signer in signers
            ]
            sizes = [np.array([len(draw.references)]) for draw in draws]
            found = [
                decision.similarity.consistencies(prepared[list(draw.references)], size)
                for draw, size in zip(draws, sizes, strict=True)
            ]
            means.append(np.mean(found))
        assert usual.mean == pytest.approx(np.mean(means)) and means[1] < usual.mean < means[0]

    def test_a_data_set_without_forgeries_fixes_no_threshold(self) -> None:
        full = population(0.6, 0.9, signers=4)
        records, rows = population(0.6, 0.9, seed=1, signers=4, dataset="genuine only")
        genuine = [number for number, record in enumerate(records) if record.label == "genuine"]
        both = [*full[0], *(records[number] for number in genuine)], np.concatenate([full[1], rows[genuine]])
        point = fit_decision(*both, seed=0).operating_point("balanced", 3)
        assert 0.01 < point.frr < 0.5

    def test_thresholds_and_figures_are_of_the_matching(self) -> None:
        records, rows = population(0.6, 0.9, signers=4)
        whole, cells = (fit_decision(records, rows, seed=0, matching=matching) for matching in (None, self.CELLS))
        assert (whole.matching, cells.matching) == (None, self.CELLS)
        assert Decision.from_dict(json.loads(json.dumps(cells.to_dict()))) == cells
        point = cells.operating_point("balanced", 3)
        protocol = make_protocol(records, 3, seed=0)
        trials = score_trials(protocol, rows, cells.rule, self.CELLS)
        assert point.frr == pytest.approx(float((trials.of(GENUINE) < point.threshold).mean()))
        assert point.threshold != pytest.approx(whole.operating_point("balanced", 3).threshold, abs=1e-3)
        figures = validation_figures(records, rows, seed=0, matching=self.CELLS)
        first = score_trials(make_protocol(records, 1, seed=0), rows, ScoreRule("mean"), self.CELLS)
        assert figures["eer_skilled_1"] == equal_error_rate(first.of(GENUINE), first.of(SKILLED))
        assert figures != validation_figures(records, rows, seed=0)

    @pytest.mark.parametrize("matching", [None, CELLS])
    def test_enrolment_bounds_are_what_is_usual(self, matching: LocalMatching | None) -> None:
        records, rows = population(0.6, 0.9, signers=6)
        decision = fit_decision(records, rows, seed=0, matching=matching)
        bounds = decision.enrolment_bounds
        assert bounds is not None
        assert [bound.references for bound in bounds] == [point.references for point in decision.operating_points[::3]]
        prepared = decision.similarity.prepare(rows)
        for bound in bounds:
            protocol = make_protocol(records, bound.references, seed=0)
            genuine = score_trials(protocol, rows, decision.rule, decision.similarity).of(GENUINE)
            beyond = genuine < bound.outlier_score, genuine <= bound.outlier_score + 1e-9
            assert beyond[0].mean() <= 0.01 <= beyond[1].mean() + 1 / len(genuine)
            if bound.references == 1:
                continue
            references = np.stack([prepared[list(draw.references)] for draw in protocol.draws])
            sizes = np.full(len(references), bound.references)
            found = decision.similarity.consistencies(references.reshape(-1, rows.shape[1]), sizes)
            for tenth, decile in enumerate(bound.consistency_deciles, 1):
                beyond = found < decile - 1e-6, found <= decile + 1e-6
                assert beyond[0].mean() <= tenth / 10 <= beyond[1].mean() + 1 / len(found)

    def test_nobody_is_sent_back_before_it_was_measured(self) -> None:
        assert fit_decision(*population(0.6, 0.9, signers=3), seed=0).sign_again_below is None

    def test_strokes_that_move_are_forgiven_by_a_matching_with_reach(self) -> None:
        records, rows = population(0.3, 0.6, signers=4)
        moved = np.zeros((len(rows), 8, 4), np.float32)
        for row, cells, shift in zip(
            moved, rows.reshape(-1, 4, 4), np.random.default_rng(0).integers(0, 3, len(rows)), strict=True
        ):
            row[shift : shift + 4] = cells
        moved = moved.reshape(len(rows), -1)
        rigid, reaching = (
            validation_figures(records, moved, seed=0, matching=LocalMatching(1, 8, 0, reach))["eer_skilled_1"]
            for reach in (0, 2)
        )
        assert reaching < 0.6 * rigid

    def test_needs_forgeries(self) -> None:
        records, rows = population(0.3, 1.0)
        genuine = [record.genuine for record in records]
        with pytest.raises(DataError):
            fit_decision([r for r in records if r.genuine], rows[genuine], seed=0)
