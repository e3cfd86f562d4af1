"""Distillation: the teachers' similarities are the target, and a training reaches for them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sigedge.training.distillation import Teachers
from sigedge.training.recipe import load_recipe
from sigedge.training.similarity import similarities
from sigedge_models import create, folder

CONFIG = {"stages": [[4, 4], [8, 4]], "embedding_size": 4, "canvas_height": 32, "canvas_width": 64}


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return create("edgesig", **CONFIG).eval()


def canvases(count: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(count, 1, 32, 64, generator=generator) > 0.8).float() * 255


def test_a_network_has_nothing_to_learn_from_itself() -> None:
    model = network(0)
    loss = Teachers([copy.deepcopy(model)], model, weight=3.0)(canvases(), model(canvases()))
    assert float(loss) == pytest.approx(0.0, abs=1e-9)


def test_the_target_is_the_mean_of_the_teachers() -> None:
    student, teachers = network(0), [network(1), network(2)]
    wanted = sum(similarities(teacher(canvases()), teacher.matching) for teacher in teachers) / 2  # type: ignore[arg-type]
    found = similarities(student(canvases()), student.matching)  # type: ignore[arg-type]
    others = ~torch.eye(6, dtype=torch.bool)
    expected = 3.0 * ((found - wanted) ** 2)[others].mean()
    assert float(Teachers(teachers, student, 3.0)(canvases(), student(canvases()))) == pytest.approx(float(expected))


def test_the_student_learns_and_the_teachers_stay() -> None:
    student, teacher = network(0), network(1)
    before = [parameter.clone() for parameter in teacher.parameters()]
    taught = Teachers([teacher], student, 1.0)
    optimiser = torch.optim.Adam(student.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = taught(canvases(), student(canvases()))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.3 * losses[0]
    assert all(torch.equal(one, other) for one, other in zip(before, teacher.parameters(), strict=True))


def test_a_recipe_names_its_teachers(tmp_path: Path) -> None:
    text = (folder("edgesig") / "recipe.yaml").read_text()
    path = tmp_path / "recipe.yaml"
    path.write_text(text + "distillation: {teachers: [one.safetensors, two.safetensors], weight: 2}\n")
    recipe = load_recipe(path)
    assert recipe.distillation is not None
    assert recipe.distillation.teachers == [Path("one.safetensors"), Path("two.safetensors")]
    # Recipes travel in the checkpoint as JSON.
    assert recipe.model_dump()["distillation"] == {"teachers": ["one.safetensors", "two.safetensors"], "weight": 2.0}
