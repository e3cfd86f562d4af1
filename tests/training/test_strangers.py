"""What strangers' references tell of a query: measured, lessened, kept over a run."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sigedge.training.losses import VerificationLoss, make_loss
from sigedge.training.recipe import SupervisedContrastive
from sigedge.training.similarity import similarities
from sigedge.training.strangers import MEMORY, StrangerTerm, told_by_strangers

# Two data sets of three signers, two genuine samples and two forgeries each.
SIGNERS = torch.arange(6).repeat_interleave(4)
GENUINE = torch.tensor([True, True, False, False]).repeat(6)
POPULATIONS = (3, 3)
FIRST = slice(0, 12)


def batch(leak: tuple[float, float], seed: int = 0) -> Tensor:
    """Embeddings with something in common, of which forgeries have less by the data set's `leak`."""
    rows = torch.randn(24, 16, generator=torch.Generator().manual_seed(seed))
    rows[:, 0] = 3.0
    rows[:12, 0] -= leak[0] * ~GENUINE[:12]
    rows[12:, 0] -= leak[1] * ~GENUINE[12:]
    return rows


def told(rows: Tensor, part: slice = FIRST) -> float:
    return float(told_by_strangers(similarities(rows, None)[part, part], SIGNERS[part], GENUINE[part]))


class TestWhatIsTold:
    def test_is_the_difference_of_the_means_over_signers_in_standard_deviations(self) -> None:
        found = similarities(batch((1.0, 0.0)), None)[FIRST, FIRST]
        differences, strange = [], []
        for signer in range(3):
            others = [row for row in range(12) if SIGNERS[row] != signer and GENUINE[row]]
            own = [row for row in range(12) if SIGNERS[row] == signer]
            seen = found[own][:, others]
            differences.append(seen[:2].mean() - seen[2:].mean())
            strange.append(seen.flatten())
        expected = torch.stack(differences).mean() / torch.cat(strange).std()
        assert told(batch((1.0, 0.0))) == pytest.approx(float(expected), rel=1e-5)

    def test_forgeries_unlike_everybody_tell_and_forgeries_like_everybody_tell_the_other_way(self) -> None:
        leaks = [told(batch((leak, 0.0))) for leak in (-1.5, 0.0, 1.5)]
        assert leaks[0] < -0.5 < leaks[1] < 0.5 < leaks[2]

    def test_length_says_nothing(self) -> None:
        assert told(batch((1.0, 0.0)) * 7) == pytest.approx(told(batch((1.0, 0.0))), rel=1e-5)

    @pytest.mark.parametrize(
        ("signers", "genuine"),
        [
            (torch.zeros(4, dtype=torch.int64), torch.tensor([True, True, False, False])),
            (torch.tensor([0, 0, 1, 1]), torch.ones(4, dtype=torch.bool)),
            (torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.bool)),
            (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)),
        ],
        ids=["one signer", "no forgery", "no genuine sample", "nobody"],
    )
    def test_nothing_to_tell_is_0_and_has_a_slope_of_0(self, signers: Tensor, genuine: Tensor) -> None:
        found = torch.rand(len(signers), len(signers), requires_grad=True)
        nothing = told_by_strangers(found, signers, genuine)
        nothing.backward()  # type: ignore[no-untyped-call]
        assert float(nothing.detach()) == 0 and found.grad is not None and not found.grad.any()


class TestTerm:
    def term(self, term: StrangerTerm, rows: Tensor) -> float:
        return float(term(similarities(rows, None), SIGNERS, GENUINE).detach())

    def test_data_sets_that_leak_either_way_do_not_make_up_for_one_another(self) -> None:
        quiet, loud = StrangerTerm(POPULATIONS), StrangerTerm(POPULATIONS)
        assert self.term(loud, batch((1.5, -1.5))) > 10 * abs(self.term(quiet, batch((0.0, 0.0))))

    def test_is_the_square_of_the_running_mean_where_all_batches_tell_the_same(self) -> None:
        term, rows = StrangerTerm(POPULATIONS), batch((1.5, -1.5))
        costs = [self.term(term, rows) for _ in range(300)]
        expected = (told(rows) ** 2 + told(rows, slice(12, 24)) ** 2) / 2
        assert costs == sorted(costs)
        assert costs[-1] == pytest.approx(2 * expected, rel=1e-3)  # its slope is that of the square

    def test_remembers_about_as_many_batches_as_it_says(self) -> None:
        term = StrangerTerm(POPULATIONS)
        self.term(term, batch((1.5, 0.0)))
        first = float(term.running[0])
        assert first == pytest.approx(MEMORY * told(batch((1.5, 0.0))), rel=1e-5)
        for _ in range(round(1 / MEMORY)):
            self.term(term, batch((-1.5, 0.0)))
        assert float(term.running[0]) < 0

    def test_what_was_seen_is_saved_with_a_run_and_the_composition_of_batches_is_not(self) -> None:
        term = StrangerTerm(POPULATIONS)
        self.term(term, batch((1.5, 0.5)))
        state = copy.deepcopy(term.state_dict())
        assert list(state) == ["running"]
        again = StrangerTerm(POPULATIONS)
        again.load_state_dict(state)
        rows = batch((1.0, 1.0), seed=1)
        assert self.term(again, rows) == self.term(term, rows)

    def test_lessening_it_takes_the_leak_away(self) -> None:
        torch.manual_seed(0)
        rows = batch((1.5, 1.5))
        network, term = nn.Linear(16, 16), StrangerTerm(POPULATIONS)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
        before = told(network(rows).detach())
        for _ in range(200):
            optimiser.zero_grad()
            term(similarities(network(rows), None), SIGNERS, GENUINE).backward()
            optimiser.step()
        assert abs(told(network(rows).detach())) < 0.3 * abs(before)


class TestInTheLoss:
    def test_without_a_weight_there_is_no_such_term(self) -> None:
        loss = make_loss(SupervisedContrastive(), None, POPULATIONS)
        assert loss.terms == ("contrast", "pairs") and len(loss(batch((1.0, 1.0)), SIGNERS, GENUINE)) == 2
        assert not [name for name, _ in loss.named_buffers() if "running" in name]

    def test_with_a_weight_it_is_one_of_the_terms(self) -> None:
        rows = batch((1.5, -1.5))
        loss = make_loss(SupervisedContrastive(stranger_weight=3.0), None, POPULATIONS)
        assert isinstance(loss, VerificationLoss) and loss.terms[2] == "strangers"
        contrast, pairs, strangers = loss(rows, SIGNERS, GENUINE)
        alone = StrangerTerm(POPULATIONS)(similarities(rows, None), SIGNERS, GENUINE)
        assert float(strangers.detach()) == pytest.approx(3 * float(alone), rel=1e-6)
        plain = make_loss(SupervisedContrastive(), None, POPULATIONS)(rows, SIGNERS, GENUINE)
        assert [float(contrast.detach()), float(pairs.detach())] == [float(term.detach()) for term in plain]

    def test_the_flagship_has_it_wherever_it_sees_real_forgeries(self) -> None:
        from sigedge.training import load_recipe
        from sigedge_models import folder

        recipes: Path = folder("edgesig")
        weights = {path.stem: load_recipe(path).loss for path in sorted(recipes.glob("recipe*.yaml"))}
        for name, loss in weights.items():
            assert isinstance(loss, SupervisedContrastive)
            assert (loss.stranger_weight > 0) == (name != "recipe-clean")
