"""The losses a recipe can choose: what each asks of embeddings, and how it is chosen."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from sigedge.training import Recipe, load_recipe
from sigedge.training.losses import ContrastivePairLoss, MinedTripletLoss, VerificationLoss, make_loss
from sigedge.training.recipe import Contrastive, SupervisedContrastive, Triplet
from sigedge.training.similarity import similarities
from sigedge_models import folder
from sigedge_runtime.errors import RecipeError
from sigedge_runtime.matching import LocalMatching

SIGNERS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
GENUINE = torch.tensor([True, True, False, False] * 2)
VALUES: dict[str, Any] = {
    "architecture": "edgesig",
    "name": "tiny",
    "version": "1",
    "licence": "none",
    "data": {"signers_per_batch": {"a": 2}},
}
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "contrastive": lambda: ContrastivePairLoss(1.0, 1.0),
    "hard": lambda: MinedTripletLoss(0.3, "hard"),
    "semihard": lambda: MinedTripletLoss(0.3, "semihard"),
    "all": lambda: MinedTripletLoss(0.3, "all"),
}


def embeddings(forgery: float, spread: float = 0.0) -> Tensor:
    """Genuine samples near an axis of their own; forgeries turned towards them by `forgery`, 0 to 1."""
    rows = torch.zeros(8, 6)
    rows[0:2, 0] = rows[4:6, 1] = 1
    rows[[0, 4], [4, 5]] = spread
    rows[2:4, 0] = rows[6:8, 1] = forgery
    rows[[2, 3, 6, 7], [2, 3, 2, 3]] = 1 - forgery
    return rows


def total(loss: nn.Module, rows: Tensor, signers: Tensor = SIGNERS, genuine: Tensor = GENUINE) -> float:
    return float(torch.stack(loss(rows, signers, genuine)).sum().detach())


@pytest.mark.parametrize("name", LOSSES)
class TestEach:
    def test_what_is_apart_costs_nothing(self, name: str) -> None:
        assert total(LOSSES[name](), embeddings(0.0)) == pytest.approx(0, abs=1e-6)

    def test_a_nearer_forgery_costs_more(self, name: str) -> None:
        costs = [total(LOSSES[name](), embeddings(forgery, spread=0.4)) for forgery in (0.0, 0.5, 0.65)]
        assert costs == sorted(costs) and costs[2] > costs[0] + 0.01

    def test_length_says_nothing(self, name: str) -> None:
        rows = embeddings(0.6, spread=0.4)
        assert total(LOSSES[name](), rows) == pytest.approx(total(LOSSES[name](), rows * 40), rel=1e-4)

    def test_gradients_reach_the_embeddings_and_are_finite_where_two_are_equal(self, name: str) -> None:
        rows = embeddings(0.6, spread=0.4)
        rows[2] = rows[0]
        rows.requires_grad_()
        torch.stack(LOSSES[name]()(rows, SIGNERS, GENUINE)).sum().backward()  # type: ignore[no-untyped-call]
        assert rows.grad is not None and bool(torch.isfinite(rows.grad).all()) and bool(rows.grad.abs().sum() > 0)

    def test_a_batch_without_forgeries_is_no_special_case(self, name: str) -> None:
        cost = total(LOSSES[name](), torch.randn(8, 6), genuine=torch.ones(8, dtype=torch.bool))
        assert math.isfinite(cost)

    def test_lessening_it_pulls_the_genuine_from_the_forged(self, name: str) -> None:
        torch.manual_seed(0)
        inputs, network = torch.randn(8, 10), nn.Linear(10, 6)
        optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
        loss = LOSSES[name]()
        before = total(loss, network(inputs))
        for _ in range(60):
            optimiser.zero_grad()
            torch.stack(loss(network(inputs), SIGNERS, GENUINE)).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        assert total(loss, network(inputs)) < 0.3 * before


class TestVerification:
    """The loss that sees what devices will compute, by cosine or cell by cell."""

    CELLS = LocalMatching(2, 3, 1, 1)

    def cells(self, forgery: float, shift: int = 0) -> Tensor:
        """`embeddings` as cells of one number on a grid with a border, moved sideways by so many cells."""
        field = torch.zeros(8, 2, 7, 6)
        field[:, 0, 2 + shift : 5 + shift] = embeddings(forgery, spread=0.2)[:, None]
        return field.reshape(8, -1)

    @pytest.mark.parametrize("matching", [None, CELLS])
    def test_is_the_formula_of_the_paper_on_the_similarities(self, matching: LocalMatching | None) -> None:
        rows = torch.randn(8, 12, generator=torch.Generator().manual_seed(2))
        loss = VerificationLoss(0.2, 1.5, matching)
        contrast, pairs = (term.detach() for term in loss(rows, SIGNERS, GENUINE))
        found = similarities(rows, matching)
        like = (SIGNERS[:, None] == SIGNERS) & GENUINE[:, None] & GENUINE & ~torch.eye(8, dtype=torch.bool)
        logits = (found / 0.2).masked_fill(torch.eye(8, dtype=torch.bool), -math.inf)
        anchors = [-(logits[i] - logits[i].logsumexp(0))[like[i]].mean() for i in range(8) if like[i].any()]
        assert float(contrast) == pytest.approx(float(torch.stack(anchors).mean()), rel=1e-4)
        same, upper = SIGNERS[:, None] == SIGNERS, torch.ones(8, 8).triu(1).bool()
        kinds = (
            (-1, same & GENUINE & GENUINE[:, None]),
            (1, same & (GENUINE ^ GENUINE[:, None])),
            (1, ~same & GENUINE & GENUINE[:, None]),
        )
        terms = [nn.functional.softplus(sign * (8 * found - 4)[kind & upper]).mean() for sign, kind in kinds]
        assert float(pairs) == pytest.approx(1.5 * float(torch.stack(terms).sum()), rel=1e-4)

    def test_what_is_demanded_is_learned_from_references_alone(self) -> None:
        loss = VerificationLoss(0.1, 1.0, LocalMatching(1, 2, 0, 0, 1.0))
        vectors = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(2))
        beside = torch.zeros(8, 2, 1, requires_grad=True)
        _, pairs = loss(torch.cat([vectors, beside], dim=2).reshape(8, -1), SIGNERS, GENUINE)
        pairs.backward()
        assert beside.grad is not None
        # Nobody's reference is a forgery: what it demands is not asked for.
        assert bool((beside.grad[GENUINE].abs() > 0).all()) and not beside.grad[~GENUINE].any()
        plain = VerificationLoss(0.1, 1.0, LocalMatching(1, 2, 0, 0))(vectors.reshape(8, -1), SIGNERS, GENUINE)[1]
        assert float(pairs.detach()) == pytest.approx(float(plain), rel=1e-5)

    def test_a_nearer_forgery_costs_more_cell_by_cell(self) -> None:
        loss = VerificationLoss(0.1, 1.0, LocalMatching(2, 7, 0, 0))
        costs = [total(loss, self.cells(forgery)) for forgery in (0.0, 0.5, 0.65)]
        assert costs == sorted(costs) and costs[2] > costs[0] + 0.1

    def test_a_signature_that_moved_within_reach_costs_no_more(self) -> None:
        rows, moved = self.cells(0.3), self.cells(0.3)
        moved[[1, 5]] = self.cells(0.3, shift=2)[[1, 5]]
        costs = [
            (total(loss, rows), total(loss, moved))
            for loss in (VerificationLoss(0.1, 1.0, LocalMatching(2, 7, 0, reach)) for reach in (2, 0))
        ]
        assert costs[0][1] == pytest.approx(costs[0][0], rel=1e-3)
        assert costs[1][1] > costs[1][0] + 1

    @pytest.mark.parametrize("matching", [None, CELLS])
    def test_gradients_are_finite_where_cells_are_empty(self, matching: LocalMatching | None) -> None:
        rows = torch.randn(8, 12, generator=torch.Generator().manual_seed(2))
        rows[:, 4:] = rows[3, 2:] = 0
        rows[1] = rows[0]
        rows.requires_grad_()
        torch.stack(VerificationLoss(0.1, 1.0, matching)(rows, SIGNERS, GENUINE)).sum().backward()  # type: ignore[no-untyped-call]
        assert rows.grad is not None and bool(torch.isfinite(rows.grad).all()) and bool(rows.grad.abs().sum() > 0)

    @pytest.mark.parametrize("matching", [None, CELLS])
    def test_a_batch_that_asks_for_nothing_costs_nothing(self, matching: LocalMatching | None) -> None:
        rows = torch.randn(1, 12, requires_grad=True)
        cost = torch.stack(VerificationLoss(0.1, 1.0, matching)(rows, SIGNERS[:1], GENUINE[:1])).sum()
        cost.backward()  # type: ignore[no-untyped-call]
        assert float(cost) == 0 and rows.grad is not None and not bool(rows.grad.any())

    def test_lessening_it_pulls_the_genuine_from_the_forged(self) -> None:
        torch.manual_seed(0)
        inputs, network = torch.randn(8, 10), nn.Linear(10, 12)
        loss = VerificationLoss(0.1, 1.0, self.CELLS)
        optimiser = torch.optim.Adam([*network.parameters(), *loss.parameters()], lr=0.05)
        before = total(loss, network(inputs))
        for _ in range(60):
            optimiser.zero_grad()
            torch.stack(loss(network(inputs), SIGNERS, GENUINE)).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        assert total(loss, network(inputs)) < 0.3 * before


class TestContrastive:
    def test_is_the_formula_of_the_paper(self) -> None:
        rows = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]])
        signers, genuine = torch.tensor([0, 0, 0, 1]), torch.tensor([True, True, False, True])
        like, unlike = ContrastivePairLoss(1.5, 2.0)(rows, signers, genuine)
        apart = torch.cdist(rows, rows)
        forged = ((1.5 - apart[0, 2]) ** 2 + (1.5 - apart[1, 2]) ** 2) / 2
        assert float(like) == pytest.approx(float(apart[0, 1] ** 2))
        # The stranger is beyond the margin, so its weight changes nothing here.
        assert apart[:2, 3].min() > 1.5
        assert float(unlike) == pytest.approx(float(forged), rel=1e-4)

    def test_strangers_count_as_much_as_asked(self) -> None:
        rows = embeddings(0.0)
        rows[4:6] = rows[0:2]
        costs = [total(ContrastivePairLoss(1.0, weight), rows) for weight in (0.0, 1.0, 3.0)]
        assert costs[0] == pytest.approx(0, abs=1e-6)
        assert costs[2] == pytest.approx(3 * costs[1], rel=1e-4)


class TestTriplet:
    def test_a_forgery_is_never_anchor_or_positive(self) -> None:
        """Two equal forgeries far from everything cost nothing, wherever they are."""
        rows = embeddings(0.0)
        assert total(MinedTripletLoss(0.3, "all"), rows, genuine=GENUINE) == 0
        assert total(MinedTripletLoss(0.3, "all"), rows, genuine=torch.ones(8, dtype=torch.bool)) > 0

    def test_miners_pick_different_triplets(self) -> None:
        rows = embeddings(0.75, spread=0.7)
        hard, semihard = (total(MinedTripletLoss(0.3, miner), rows) for miner in ("hard", "semihard"))
        assert hard > 0.3, "the forgery is nearer than the positive"
        assert semihard <= 0.3, "which semihard triplets never are"


class TestChoice:
    def read(self, tmp_path: Path, loss: object) -> Recipe:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(VALUES | {"loss": loss}))
        return load_recipe(path)

    def test_the_default_is_supervised_contrast(self, tmp_path: Path) -> None:
        assert isinstance(make_loss(Recipe.model_validate(VALUES).loss), VerificationLoss)
        recipe = self.read(tmp_path, {"temperature": 0.2, "pair_weight": 0.5})
        assert recipe.loss == SupervisedContrastive(temperature=0.2, pair_weight=0.5)

    @pytest.mark.parametrize(
        ("loss", "section", "kind"),
        [
            ({"name": "supervised_contrastive"}, SupervisedContrastive, VerificationLoss),
            ({"name": "contrastive", "margin": 0.7}, Contrastive, ContrastivePairLoss),
            ({"name": "triplet", "miner": "semihard"}, Triplet, MinedTripletLoss),
        ],
    )
    def test_by_name(self, tmp_path: Path, loss: dict[str, Any], section: type, kind: type) -> None:
        recipe = self.read(tmp_path, loss)
        assert isinstance(recipe.loss, section) and isinstance(make_loss(recipe.loss), kind)
        assert recipe.model_dump()["loss"].items() >= loss.items()
        assert Recipe.model_validate(recipe.model_dump()) == recipe

    def test_a_network_that_is_matched_cell_by_cell_has_a_loss_that_is_too(self) -> None:
        matching = LocalMatching(2, 3, 1, 1)
        loss = make_loss(SupervisedContrastive(), matching)
        assert isinstance(loss, VerificationLoss) and loss.matching == matching
        for settings in (Contrastive(name="contrastive"), Triplet(name="triplet")):
            with pytest.raises(RecipeError, match=rf"loss {settings.name} compares by cosine.*supervised_contrastive"):
                make_loss(settings, matching)

    def test_the_record_of_a_checkpoint_before_there_was_a_choice_still_loads(self) -> None:
        recipe = Recipe.model_validate(VALUES | {"loss": {"temperature": 0.1, "pair_weight": 1.0}})
        assert isinstance(recipe.loss, SupervisedContrastive)

    @pytest.mark.parametrize(
        ("loss", "message"),
        [
            (
                {"name": "nosuch"},
                "loss: .*unknown name 'nosuch', use one of supervised_contrastive, contrastive, triplet",
            ),
            ({"name": "triplet", "temperature": 0.1}, r"loss\.temperature"),
            ({"name": "contrastive", "margin": 3}, r"loss\.margin"),
            ({"name": "triplet", "miner": "easy"}, r"loss\.miner"),
            ("triplet", "loss"),
        ],
    )
    def test_names_the_wrong_entry(self, tmp_path: Path, loss: object, message: str) -> None:
        with pytest.raises(RecipeError, match=message):
            self.read(tmp_path, loss)

    @pytest.mark.parametrize(("model", "kind"), [("signet", Contrastive), ("siamese_resnet", Triplet)])
    def test_the_verifiers_of_the_literature_have_theirs(self, model: str, kind: type) -> None:
        assert isinstance(load_recipe(folder(model) / "recipe.yaml").loss, kind)
