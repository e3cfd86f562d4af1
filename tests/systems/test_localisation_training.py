"""From labelled pages to a scorer and its figures, on a small data set of synthetic signers in the real layouts."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from sigedge.cli import app as sigedge_app
from sigedge.data.images import to_grey
from sigedge.data.sheets import Page
from sigedge.synthesis import ScanConditions, Synthesiser
from sigedge.systems import has_system
from sigedge.systems.localisation import evaluate, experiment, train
from sigedge.systems.localisation.__main__ import app
from sigedge.systems.localisation.composing import composed, crop_to_ink, synthetic_writer, write_on
from sigedge.systems.localisation.pages import Example, load, read_blank_pages, read_sheets, split_pages
from sigedge.systems.localisation.picture import draw_letter
from sigedge.systems.localisation.precision import Found
from sigedge.systems.localisation.scorer import choose_minimum_score, fit_trees, write_scorer
from sigedge_runtime._strokes import FEATURES, find_candidates
from sigedge_runtime._trees import BoostedTrees
from sigedge_runtime.errors import DataError
from sigedge_runtime.localisation import SCORER, Scorer, find_signatures, read_scorer

SIGNERS = 5
TALL, WIDE = 1100, 780
FEW = {"train": 2, "validation": 2, "test": 1}


def quiet(_: str) -> None:
    """Nobody listens."""


def signature(signer: int, index: int) -> np.ndarray:  # type: ignore[type-arg]
    drawn = to_grey(Synthesiser(5).signer(signer).genuine(index, ScanConditions.clean()).image)
    return cv2.resize(crop_to_ink(drawn), (180, 90), interpolation=cv2.INTER_AREA).astype(np.uint8)


def sheet(signer: int) -> tuple[np.ndarray, list[list[int]]]:  # type: ignore[type-arg]
    page = np.full((TALL, WIDE), 255, np.uint8)
    boxes = []
    for index in range(4):
        x, y = 100 + 380 * (index % 2), 150 + 400 * (index // 2)
        page[y : y + 90, x : x + 180] = signature(signer, index)
        boxes.append([x, y, 180, 90])
    cv2.rectangle(page, (40, 100), (740, 900), (0,), 4)
    cv2.line(page, (40, 500), (740, 500), (0,), 4)
    return page, boxes


def document(number: int) -> np.ndarray:  # type: ignore[type-arg]
    page = np.full((TALL, WIDE), 255, np.uint8)
    for row in range(120 + 40 * number, 900, 22):
        cv2.putText(page, f"{number} printed words in a line of text {row}", (60, row), 5, 0.8, (0,), 1)
    return page


@pytest.fixture(scope="session")
def pages_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sheets, documents and loose signatures in the layouts of the research data."""
    root = tmp_path_factory.mktemp("pages")
    for kind, letter in (("genuine", "G"), ("forged", "F")):
        write_sheets(root / "ssbi" / "signatures" / kind, letter)
    documents = root / "tobacco800-pages"
    documents.mkdir()
    for number in range(5):
        cv2.imwrite(str(documents / f"doc{number}_1.png"), document(number))
    write_index(root)
    return root


def write_sheets(folder: Path, letter: str) -> None:
    (folder / "data").mkdir(parents=True)
    images, annotations = [], []
    for signer in range(SIGNERS):
        page, boxes = sheet(signer)
        name = f"{signer:03d}_{letter}1.png"
        cv2.imwrite(str(folder / "data" / name), page)
        images.append({"id": signer, "file_name": name})
        annotations += [{"image_id": signer, "bbox": box} for box in boxes]
    (folder / "labels.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def write_index(root: Path) -> None:
    name = experiment.TEST_SIGNERS
    (root / name).mkdir()
    with (root / "index.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "dataset", "signer", "label", "sample"])
        for index in range(3):
            cv2.imwrite(str(root / name / f"{index}.png"), signature(9, index))
            rows.writerow([f"{name}/{index}.png", name, "9", "genuine", index])
    (root / "splits.json").write_text(json.dumps({name: {"train": [], "test": ["9"]}}))


@pytest.fixture
def few_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "COPIES", FEW)


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])


class TestPages:
    def test_coco_boxes_become_corners(self, pages_folder: Path) -> None:
        sheets = read_sheets(pages_folder)
        assert len(sheets) == 2 * SIGNERS
        assert sheets[0].boxes[1].tolist() == [480, 150, 660, 240] and sheets[0].group == "000"

    def test_every_page_is_in_one_part_and_a_signer_is_never_in_two(self, pages_folder: Path) -> None:
        sheets = read_sheets(pages_folder)
        parts = split_pages(sheets)
        assert sorted(len(pages) for pages in parts.values()) == [2, 4, 4]
        groups = [{page.group for page in pages} for pages in parts.values()]
        assert sum(map(len, groups)) == len(set.union(*groups)) == SIGNERS
        assert [page.path for page in split_pages(sheets)["test"]] == [page.path for page in parts["test"]]

    def test_an_unreadable_page_is_named_and_skipped(self, pages_folder: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.png"
        broken.write_bytes(b"no image")
        pages = [Page(broken, np.empty((0, 4)), "x"), *read_blank_pages(pages_folder)]
        skipped: list = []  # type: ignore[type-arg]
        assert len(list(load(pages, skipped))) == 5
        assert [file.path for file in skipped] == [broken]

    @pytest.mark.parametrize("text", ["{", "[]", '{"images": [{"id": 1}]}', '{"images": []}'])
    def test_damaged_labels_are_named(self, tmp_path: Path, text: str) -> None:
        folder = tmp_path / "ssbi" / "signatures" / "genuine"
        folder.mkdir(parents=True)
        (folder / "labels.json").write_text(text)
        with pytest.raises(DataError, match=r"labels\.json .*unpack the sheets again"):
            read_sheets(tmp_path)

    def test_a_folder_without_pages_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="tobacco800-pages"):
            read_blank_pages(tmp_path)


class TestComposing:
    def test_boxes_are_where_ink_was_added(self) -> None:
        page = document(1)
        signed, boxes = write_on(page, [signature(0, 0), signature(1, 0)], np.random.default_rng(1))
        changed = signed != page
        assert len(boxes) == 2
        for left, top, right, bottom in boxes.astype(int):
            assert changed[top:bottom, left:right].mean() > 0.03
            changed[top:bottom, left:right] = False
        assert not changed.any()

    def test_signatures_do_not_overlap_and_those_without_room_are_left_out(self) -> None:
        page = np.full((300, 200), 255, np.uint8)
        _, boxes = write_on(page, [signature(0, 0)] * 60, np.random.default_rng(0))
        assert 3 < len(boxes) < 60
        taken = np.zeros_like(page)
        for left, top, right, bottom in boxes.astype(int):
            assert not taken[top:bottom, left:right].any()
            taken[top:bottom, left:right] = 1

    def test_the_same_seed_writes_the_same_pages(self) -> None:
        blank = [Example(document(0), np.empty((0, 4)), "doc0")]
        first, second = (list(composed(blank, synthetic_writer(3), 2, 4)) for _ in range(2))
        assert len(first) == 2 and 1 <= len(first[0].boxes) <= 3 and first[0].group == "doc0"
        assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))
        assert not np.array_equal(first[0].image, first[1].image)

    def test_paper_without_ink_is_left_as_it_is(self) -> None:
        blank = np.full((40, 60), 255, np.uint8)
        np.testing.assert_array_equal(crop_to_ink(blank), blank)


class TestScorer:
    def test_the_plain_trees_are_those_of_scikit_learn(
        self, pages_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import sklearn.ensemble

        fitted = []

        class Kept(sklearn.ensemble.GradientBoostingRegressor):  # type: ignore[misc]
            def fit(self, *arguments: object) -> object:
                fitted.append(self)
                return super().fit(*arguments)

        monkeypatch.setattr(sklearn.ensemble, "GradientBoostingRegressor", Kept)
        examples = list(load([*read_sheets(pages_folder)[:4], *read_blank_pages(pages_folder)], []))
        trees = fit_trees(examples, seed=0)
        features = find_candidates(examples[0].image).features
        np.testing.assert_allclose(trees.evaluate(features), fitted[0].predict(features), atol=1e-6)

    def test_pages_without_signatures_teach_nothing(self, pages_folder: Path) -> None:
        with pytest.raises(DataError, match="no signature"):
            fit_trees(load(read_blank_pages(pages_folder), []), seed=0)

    def test_the_minimum_score_lies_in_the_gap(self) -> None:
        page = Found(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, True, False, False]), 2, "a")
        assert choose_minimum_score([page]) == pytest.approx(0.55)
        with pytest.raises(DataError, match="validation"):
            choose_minimum_score([Found(np.array([0.5]), np.array([False]), 1, "a")])

    def test_a_written_scorer_is_read_back(self, tmp_path: Path) -> None:
        scorer = Scorer(BoostedTrees(FEATURES, 0.25, ()), 0.5)
        write_scorer(tmp_path / "deep" / "scorer.json", scorer)
        assert read_scorer(tmp_path / "deep" / "scorer.json") == scorer


@pytest.fixture(scope="module")
def scorer(pages_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scorer learned from the small data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "COPIES", FEW)
        path, skipped = train(pages_folder, tmp_path_factory.mktemp("scorer") / "s.json", progress=quiet)
    assert skipped == []
    return path


class TestExperiment:
    def test_what_was_learned_finds_unseen_signers(self, pages_folder: Path, few_copies: None, scorer: Path) -> None:
        result = evaluate(pages_folder, scorer=scorer, progress=quiet)
        sheets = result["sets"]["SSBI sheets"]
        assert sheets["average_precision"] > 0.9
        assert sheets["signatures"] == 16 and result["sets"]["pages without signatures"]["pages"] == 2
        (row,) = result["networks"]
        assert row["value"] == sheets["average_precision"] and row["parameters"] > 100
        assert result["latency"]["median_cpu_ms"] > 0 and result["skipped"] == []
        json.dumps(result, allow_nan=False)

    def test_training_again_gives_the_same_file(
        self, pages_folder: Path, few_copies: None, scorer: Path, tmp_path: Path
    ) -> None:
        again, _ = train(pages_folder, tmp_path / "s.json", progress=quiet)
        assert again.read_bytes() == scorer.read_bytes()

    def test_a_sheet_that_cannot_be_read_is_counted(
        self, pages_folder: Path, few_copies: None, scorer: Path, tmp_path: Path
    ) -> None:
        data = tmp_path / "data"
        shutil.copytree(pages_folder, data)
        broken = split_pages(read_sheets(data))["test"][1].path
        broken.write_bytes(broken.read_bytes()[:100])
        result = evaluate(data, scorer=scorer, progress=quiet)
        assert result["skipped"] == [broken.name]
        assert result["sets"]["SSBI sheets"]["pages"] == 3 and str(tmp_path) not in json.dumps(result)


class TestCommand:
    def test_find_prints_boxes_and_writes_them(self, pages_folder: Path) -> None:
        page = read_sheets(pages_folder)[0].path
        result = run("find", page, "--json", "-")
        assert result.exit_code == 0, result.output
        boxes = json.loads(result.stdout)["boxes"]
        assert boxes == [box.to_dict() for box in find_signatures(cv2.imread(str(page), cv2.IMREAD_GRAYSCALE))]

    def test_the_picture_shows_what_was_found(self, tmp_path: Path) -> None:
        result = run("picture", tmp_path / "page.png")
        assert result.exit_code == 0 and "signatures found" in result.output
        picture = cv2.imread(str(tmp_path / "page.png"))
        coloured = (picture.max(axis=2) - picture.min(axis=2) > 60).any()
        assert picture.shape[0] > picture.shape[1] and coloured == bool(find_signatures(draw_letter(0)))

    def test_bad_input_is_one_sentence(self, pages_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "page.png").write_text("no image")
        for arguments in (
            ("find", tmp_path / "page.png"),
            ("find", tmp_path / "none.png"),
            ("find", read_sheets(pages_folder)[0].path, "--scorer", tmp_path / "page.png"),
            ("train", tmp_path / "s.json", "--data", tmp_path),
            ("evaluate", "--data", tmp_path),
        ):
            result = run(*arguments)
            assert result.exit_code == 2, result.output
            assert result.stderr.count("sigedge:") == 1 and str(tmp_path) in result.stderr
        assert not (tmp_path / "s.json").exists()


def test_the_networks_commands_do_not_take_it_for_one_of_theirs() -> None:
    assert has_system("cleaner") and not has_system("localisation") and not has_system("edgesig")
    for command in ("train", "evaluate"):
        result = CliRunner(env={"NO_COLOR": "1"}).invoke(sigedge_app, [command, "localisation"])
        assert result.exit_code == 2 and "Traceback" not in result.output


@pytest.mark.research_data
class TestResearchData:
    def test_every_sheet_is_there(self, research_data: Path) -> None:
        sheets = read_sheets(research_data)
        assert (len(sheets), sum(len(page.boxes) for page in sheets)) == (55, 436)
        assert all(page.path.is_file() for page in sheets)
        assert len(read_blank_pages(research_data)) == 30

    def test_the_shipped_scorer_finds_signatures_of_validation_sheets(self, research_data: Path) -> None:
        pages = split_pages(read_sheets(research_data))["validation"]
        found = experiment.detect(load([pages[0], pages[6]], []), read_scorer(SCORER))
        assert experiment.figures(found, read_scorer(SCORER).minimum_score)["average_precision"] > 0.9


def test_the_result_file_is_of_the_shipped_scorer(repository: Path) -> None:
    result = json.loads((repository / "benchmarks" / "results" / "system-localisation.json").read_text())
    assert result["networks"][0]["checkpoint_sha256"] == experiment.hash_file(SCORER)
    assert result["networks"][0]["parameters"] == read_scorer(SCORER).trees.parameters
