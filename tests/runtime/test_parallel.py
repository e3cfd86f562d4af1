"""Many signatures at a time: the same answers as one by one, in order, and an error costs its own item alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from sigedge_runtime import Embedding, Verdict, Verifier, parallel
from sigedge_runtime.errors import EngineError, ImageError, QualityError, UnknownUserError
from sigedge_runtime.judging import Desk
from sigedge_runtime.parallel import CHUNK, Workers

Draw = Callable[[int, int], NDArray[np.uint8]]
BLANK = np.full((300, 600), 255, np.uint8)


@pytest.fixture(scope="module")
def verifier(master_bundle: Path, draw: Draw) -> Iterator[Verifier]:
    with Verifier.open(master_bundle, selftest=False) as opened:
        for signer, user in enumerate(("ada", "bob")):
            opened.enroll(user, [draw(signer, sample) for sample in range(3)])
        yield opened


@pytest.fixture(scope="module")
def desk(verifier: Verifier) -> Desk:
    return verifier._desk


@pytest.fixture
def pair(desk: Desk) -> Iterator[Workers]:
    with Workers(desk, 2) as workers:
        yield workers


def answer(verdict: Any) -> Any:
    """A verdict without its timings."""
    return {key: value for key, value in verdict.to_dict().items() if key != "timings"}


def children() -> set[int]:
    """Processes that this one has started and not waited for."""
    own = Path(f"/proc/{os.getpid()}/task")
    return {int(child) for task in own.iterdir() for child in (task / "children").read_text().split()}


@pytest.mark.parametrize("workers", [1, 2, 3, None])
def test_verdicts_are_those_of_one_by_one(verifier: Verifier, draw: Draw, workers: int | None) -> None:
    pairs = [(user, draw(signer, sample)) for sample in range(3, 9) for signer in (0, 1) for user in ("ada", "bob")]
    found = verifier.verify_many(pairs, workers=workers)
    assert [answer(one) for one in found] == [answer(verifier.verify(user, image)) for user, image in pairs]
    assert {one.accepted for one in found if isinstance(one, Verdict)} == {True, False}
    assert all(one.timings.total >= one.timings.infer > 0 for one in found if isinstance(one, Verdict))


def test_embeddings_are_those_of_one_by_one(verifier: Verifier, draw: Draw) -> None:
    images = [draw(signer, 5) for signer in range(2 * CHUNK + 3)]
    for image, found in zip(images, verifier.embed_many(images, workers=2), strict=True):
        assert isinstance(found, Embedding) and found.identity == verifier.identity
        np.testing.assert_array_equal(found.vector, verifier.embed(image).vector)


def test_an_error_stands_in_its_place(verifier: Verifier, draw: Draw, tmp_path: Path) -> None:
    pairs = [
        ("ada", draw(0, 4)),
        ("nobody", draw(0, 4)),
        ("ada", BLANK),
        ("bob", tmp_path / "none.png"),
        ("bob", draw(1, 4)),
        ("nobody", BLANK),
    ]
    found = verifier.verify_many(pairs * 6, workers=2)
    kinds = [Verdict, UnknownUserError, QualityError, ImageError, Verdict, UnknownUserError]
    assert [type(one) for one in found] == kinds * 6
    assert {str(one) for one in found[1::6]} == {str(found[1])} and "nobody" in str(found[1])
    # Whichever process found it, the figures came with it.
    refused = [one.quality for one in found if isinstance(one, QualityError)]
    assert len(refused) == 6 and {quality.issues[0].code for quality in refused} == {"no-ink"}


def test_images_of_every_kind_reach_the_other_process(pair: Workers, verifier: Verifier, tmp_path: Path) -> None:
    import cv2

    grey = np.full((300, 600), 250, np.uint8)
    cv2.ellipse(grey, (300, 150), (200, 80), 20, 0, 300, 10, 5)
    cv2.imwrite(str(tmp_path / "one.png"), grey)
    colour = np.dstack([grey] * 3)
    images: list[Any] = [
        tmp_path / "one.png",
        str(tmp_path / "one.png"),
        (tmp_path / "one.png").read_bytes(),
        grey,
        colour,
        colour[:, ::-1][:, ::-1],
        np.asfortranarray(grey),
        np.dstack([colour, np.full_like(grey, 255)]),
        grey[::2, ::2],
        grey.astype(np.uint16) * 257,
    ]
    there = pair._others[0].do([(None, image) for image in images])
    for image, found in zip(images, there, strict=True):
        np.testing.assert_array_equal(found.vector, verifier.embed(image).vector)
    strange: list[Any] = [
        None,
        7,
        np.zeros((0, 4), np.uint8),
        grey.astype(np.float32),
        grey[0],
        b"",
        "\0",
        np.array([{}]),
    ]
    for image, found in zip(strange, pair._others[0].do([(None, image) for image in strange]), strict=True):
        with pytest.raises(ImageError) as here:
            verifier.embed(image)
        assert (type(found), str(found)) == (ImageError, str(here.value))


@given(st.lists(arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=40)), max_size=6))
def test_shared_pixels_are_the_same_pixels(images: list[NDArray[np.uint8]]) -> None:
    pixels = parallel._SharedPixels.create()
    there = parallel._SharedPixels(pixels.file)
    for some in (images[:1], images):
        sent = pixels.shared(list(some))
        assert not any(isinstance(one, np.ndarray) for one in sent), "none is sent with the message"
        for image, one in zip(some, sent, strict=True):
            np.testing.assert_array_equal(there.received(one), image)
    pixels.close()


@given(st.lists(st.integers(0, 5)), st.integers(1, 4))
def test_no_more_is_handed_over_at_once_than_memory_is_for(sizes: list[int], most: int) -> None:
    tasks = [(None, np.zeros(size * parallel.CHUNK_BYTES // 4, np.uint8)) for size in sizes]
    chunks = list(parallel._chunks(tasks, most))
    assert [task for chunk in chunks for task in chunk] == tasks
    for chunk in chunks:
        total = sum(image.nbytes for _, image in chunk if isinstance(image, np.ndarray))
        assert 1 <= len(chunk) <= most and (total <= parallel.CHUNK_BYTES or len(chunk) == 1)


def test_images_that_memory_does_not_hold_are_refused_in_a_sentence(
    pair: Workers, monkeypatch: pytest.MonkeyPatch, draw: Draw
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "ftruncate", full)
        (lost,) = pair._others[0].do([(None, np.zeros((3000, 3000), np.uint8))])
    assert isinstance(lost, EngineError) and "cannot be handed to a worker" in str(lost)
    assert isinstance(pair._others[0].do([(None, draw(0, 5))])[0], Embedding)


def test_where_no_memory_can_be_shared_images_are_sent(
    desk: Desk, draw: Draw, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with Workers(desk, 2) as workers:
        assert workers._others[0]._pixels.file is None
        (found,) = workers._others[0].do([(None, draw(0, 7))])
    np.testing.assert_array_equal(found.vector, verifier.embed(draw(0, 7)).vector)


def test_nothing_gives_nothing(verifier: Verifier) -> None:
    assert verifier.verify_many([]) == [] and verifier.embed_many([], workers=2) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused(verifier: Verifier, workers: int) -> None:
    with pytest.raises(EngineError, match=f"{workers} workers do nothing; use 1 or more"):
        verifier.embed_many([BLANK], workers=workers)


def test_workers_are_started_once_and_end_with_the_verifier(master_bundle: Path, draw: Draw) -> None:
    threads, processes = threading.active_count(), children()
    with Verifier.open(master_bundle, selftest=False) as opened:
        for count in (2, 3, 2, 3):
            opened.embed_many([draw(0, sample) for sample in range(20)], workers=count)
        assert len(children() - processes) == 3
        assert threading.active_count() <= threads + 5
    assert (threading.active_count(), children()) == (threads, processes)


def test_a_process_that_ended_is_started_anew(pair: Workers, draw: Draw) -> None:
    other = pair._others[0]
    first = other._running.pid
    os.kill(first, signal.SIGKILL)
    other._running.wait()
    assert isinstance(other.do([(None, draw(0, 5))])[0], Embedding)
    assert other._running.pid != first


def test_a_process_that_ends_meanwhile_costs_its_own_images(pair: Workers, draw: Draw) -> None:
    other = pair._others[0]
    os.kill(other._running.pid, signal.SIGSTOP)  # it is asked, and never answers
    threading.Timer(0.5, os.kill, (other._running.pid, signal.SIGKILL)).start()
    lost = other.do([(None, draw(0, 5)), (None, BLANK)])
    assert [type(one) for one in lost] == [EngineError] * 2 and "exit code -9" in str(lost[0])
    assert isinstance(other.do([(None, draw(0, 5))])[0], Embedding), "the next ones are done"


def test_a_process_that_cannot_open_the_engine_says_why(desk: Desk, tmp_path: Path, verifier: Verifier) -> None:
    gone = tmp_path / "model.tflite"
    gone.write_bytes(b"no network")
    engine = type(verifier.engine)(verifier.artifact, gone, 1)
    before = children()
    with pytest.raises(EngineError, match="cannot load it"):
        Workers(desk._replace(embedder=replace(desk.embedder, engine=engine)), 3)
    assert children() == before


@pytest.mark.parametrize("executable", [None, "/no/such/python"])
def test_a_process_that_does_not_start_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(EngineError, match=r"A worker process cannot be started .* workers=1"):
        Workers(desk, 2)


def test_what_is_no_error_of_ours_is_raised(pair: Workers, monkeypatch: pytest.MonkeyPatch, draw: Draw) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    images = [draw(0, sample) for sample in range(8)]
    with monkeypatch.context() as broken:
        broken.setattr("sigedge_runtime.embedding.harmonise", fail)
        with pytest.raises(ZeroDivisionError):
            pair.embed(images)
    assert all(isinstance(one, Embedding) for one in pair.embed(images)), "the workers go on"


def test_ctrl_c_ends_everything_at_once(master_bundle: Path, tmp_path: Path) -> None:
    """As from a terminal: the whole process group is interrupted, and nothing stays behind or says a word of it."""
    program = tmp_path / "many.py"
    program.write_text(
        "import signal\n"
        "import numpy as np\n"
        "from sigedge_runtime import Verifier\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it\n"
        f"with Verifier.open({str(master_bundle)!r}, selftest=False) as verifier:\n"
        "    paper = np.full((900, 1800), 255, np.uint8)\n"
        "    paper[300:600:30, 200:1600] = 0\n"
        "    verifier.embed_many([paper], workers=3)\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        verifier.embed_many([paper] * 100, workers=3)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = subprocess.Popen(
        [sys.executable, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )
    assert running.stdout is not None and running.stdout.readline() == b"ready\n"
    os.killpg(running.pid, signal.SIGINT)
    try:
        _, said = running.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        raise
    assert said.count(b"Traceback") == 1 and b"KeyboardInterrupt" in said
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


def test_a_script_needs_no_main_guard(master_bundle: Path, tmp_path: Path) -> None:
    program = tmp_path / "script.py"
    program.write_text(
        "import numpy as np\n"
        "from sigedge_runtime import Verifier\n"
        f"verifier = Verifier.open({str(master_bundle)!r}, selftest=False)\n"
        "print(*verifier.embed_many([np.full((300, 600), 255, np.uint8)] * 4, workers=2), sep='\\n')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.count("No ink was found") == 4 and done.stderr == ""
