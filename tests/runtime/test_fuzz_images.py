"""Files from strangers: whatever they hold, an image within the limits comes out, or one sentence.

The cases run in a process of their own, so that a crash of OpenCV is a failure of the test and not the end of it.
"""

from __future__ import annotations

import signal
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.fuzzing import formats, targets
from sigedge.fuzzing.campaign import Report, run
from sigedge.fuzzing.cases import CASES, mutated_image, random_bytes
from sigedge.fuzzing.formats import LONG, SHORT, png_chunk
from sigedge.fuzzing.mutations import mend_png, mutate, pieces
from sigedge.fuzzing.samples import FORMATS, HEIGHT, WIDTH, drawing, encode, image_files
from sigedge_runtime import _headers, images
from sigedge_runtime._headers import essential_png, read_header
from sigedge_runtime.errors import DataError, ImageError
from sigedge_runtime.images import read_image

SEED = 20_26
RANDOM_BYTES = 10_000_000
MUTATED = 1000
MEGABYTES = 96
"""By how much memory may grow: twelve bytes for each of the pixels that the target allows, and the decoder itself."""

# What malloc hands out is filled with these; an image that shows them holds memory that nobody wrote to.
FILLINGS = ("85", "170")

FILES = image_files(SEED)
GREY_TIFF = [(256, SHORT, [8]), (257, SHORT, [8]), (259, SHORT, [1]), (262, SHORT, [1]), (277, SHORT, [1])]
GREY_TIFF += [(258, SHORT, [8]), (278, SHORT, [8]), (273, LONG, [0]), (279, LONG, [64])]


@pytest.fixture(scope="module")
def mutated() -> list[Report]:
    """A thousand damaged files, read twice, each time with other garbage in fresh memory."""
    return [run("mutated images", SEED, MUTATED, environment={"MALLOC_PERTURB_": filling}) for filling in FILLINGS]


def test_ten_million_random_bytes_are_refused_with_sentences() -> None:
    report = run("random bytes", SEED, 5400)
    assert report.bytes >= RANDOM_BYTES and report.cases == 5400
    assert report.defects == []
    assert report.peak_growth_kb < MEGABYTES * 1024


def test_a_thousand_damaged_files_give_images_or_sentences(mutated: list[Report]) -> None:
    for report in mutated:
        assert report.defects == []
        assert report.cases == MUTATED
        assert report.outcomes["read"] > 100 and report.outcomes["refused"] > 100
        assert report.peak_growth_kb < MEGABYTES * 1024


def test_no_pixel_is_memory_that_nobody_wrote_to(mutated: list[Report]) -> None:
    first, second = mutated
    assert first.digests == second.digests


def test_cases_are_the_same_each_time_and_of_every_format() -> None:
    for make in (mutated_image, random_bytes):
        cases = [make(3, number) for number in range(40)]
        assert cases == [make(3, number) for number in range(40)]
        assert len(set(cases)) == 40
        assert cases != [make(4, number) for number in range(40)]
    assert {header.format for n in range(200) if (header := read_header(mutated_image(3, n)))} >= set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_the_undamaged_files_are_images(name: str) -> None:
    sizes = [read_image(data).shape[:2] for data in FILES[name] if not is_float(data)]
    assert len(sizes) >= 5
    assert {tuple(sorted(size)) for size in sizes} == {(HEIGHT, WIDTH)}


def is_float(data: bytes) -> bool:
    """One sample is a TIFF of floats, which is refused."""
    return data == encode(drawing(SEED).astype(np.float32), ".tiff")


def test_a_float_image_is_among_the_samples_and_refused() -> None:
    found = [data for data in FILES["tiff"] if is_float(data)]
    assert len(found) == 1
    with pytest.raises(ImageError, match="float32"):
        read_image(found[0])


PLANTED = """
import os, signal, sys, time
from sigedge.fuzzing import child
from sigedge.fuzzing.cases import CASES
from sigedge.fuzzing.targets import TARGETS
def planted(data):
    number = int(data)
    if number == 1: os.kill(os.getpid(), signal.SIGSEGV)
    if number == 2: raise KeyError("planted")
    while number == 3: pass
    if number == 5: time.sleep(600)
    if number == 4: bytes(bytearray(200 * 2**20))
    return "read it"
TARGETS["planted"] = planted
def make(seed, number):
    # Tight limits only where they are meant to be reached: a busy machine must not fail the others.
    child.SECONDS, child.WAITING = {3: (0.2, 600.0), 5: (30.0, 0.2)}.get(number, (30.0, 600.0))
    return b"%d" % number
CASES["planted"] = ("planted", make)
child.main(sys.argv[1], *map(int, sys.argv[2:5]))
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module whose cases 1, 2, 3 and 5 crash, raise, compute and wait for ever, and whose case 4 takes memory."""
    (tmp_path / "planted_faults.py").write_text(PLANTED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(CASES, "planted", ("image", random_bytes))
    yield "planted_faults"


def test_a_crash_an_exception_and_a_hang_are_seen_and_the_rest_is_still_run(planted: str) -> None:
    report = run("planted", 0, 7, module=planted)
    assert report.defects == [
        f"case 1: ended the process by {signal.Signals.SIGSEGV.name}",
        "case 2: KeyError: 'planted'",
        "case 3: took too long",
        "case 5: took too long",
    ]
    assert report.cases == 7 and report.outcomes == {"read": 3}
    assert report.peak_growth_kb > 150 * 1024
    assert set(report.to_dict()) >= {"defects", "outcomes", "slowest_ms", "peak_growth_kb", "bytes"}


def test_unknown_cases_and_a_child_that_cannot_begin_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no cases called 'sounds'; use one of: random bytes"):
        run("sounds", 0, 1)
    with pytest.raises(DataError, match=r"The process for random bytes failed: .*no_such_module"):
        run("random bytes", 0, 1, module="no_such_module")


def test_a_target_tells_an_image_out_of_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES["png"][0]
    for wrong in (np.zeros((4, 64), np.uint8), np.zeros((40, 64), np.float32), np.zeros((64, 64), np.uint8)):
        monkeypatch.setattr(targets, "read_image", lambda *_, wrong=wrong, **__: wrong)
        with pytest.raises(AssertionError, match="an image of"):
            targets.image(data)
    with pytest.raises(AssertionError, match="no sentence"):
        targets.refusal(ImageError("Traceback (most recent call last)"))


def test_mended_files_reach_the_decoder() -> None:
    """Without right sums every damaged PNG would be refused before it is decoded."""
    data = bytearray(FILES["png"][4])
    data[60] ^= 1
    with pytest.raises(ImageError, match="damaged"):
        read_image(bytes(data))
    header = read_header(mend_png(bytes(data)))
    assert header is not None and header.complete
    assert mend_png(FILES["png"][4]) == FILES["png"][4]


@pytest.mark.parametrize("name", FORMATS)
def test_pieces_cover_the_file(name: str) -> None:
    for data in FILES[name]:
        found = pieces(data)
        assert found[0] == 0 and found[-1] == len(data)
        assert b"".join(data[a:b] for a, b in pairwise(found)) == data
    assert name == "bmp" or max(len(pieces(data)) for data in FILES[name]) > 4


@given(seed=st.integers(0, 2**32), data=st.binary(min_size=1, max_size=60))
def test_anything_can_be_damaged(seed: int, data: bytes) -> None:
    assert isinstance(mutate(data, np.random.default_rng(seed)), bytes)


# What the first runs found, and what a reader of the formats would try.


def test_a_damaged_animation_does_not_crash_opencv() -> None:
    """OpenCV 4.11 and 4.12 end the process for an APNG whose first frame is damaged (opencv/opencv#27744)."""
    rows = (b"\0" + bytes(WIDTH)) * HEIGHT
    whole = formats.animated_png(WIDTH, HEIGHT, rows)
    assert read_image(whole).shape == (HEIGHT, WIDTH)
    damaged = formats.animated_png(WIDTH, HEIGHT, b"\x77" * len(rows))
    assert b"acTL" in damaged
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(damaged)


def test_a_png_without_pixels_is_damaged() -> None:
    """OpenCV 4.11 reads on behind its end, and returns what it finds there."""
    png = FILES["png"][0]
    end = png[-12:]
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(png[:33] + end + png[33:])


def test_nothing_behind_the_end_of_a_png_is_decoded() -> None:
    png = FILES["png"][0]
    assert essential_png(png + png_chunk(b"acTL", bytes(8)) + b"more") == png
    np.testing.assert_array_equal(read_image(png + b"more"), read_image(png))


@pytest.mark.parametrize("number", range(len(FILES["png"])))
def test_chunks_that_are_left_out_change_no_pixel(number: int) -> None:
    data = FILES["png"][number]
    extra = png_chunk(b"tEXt", b"Title\0signature") + png_chunk(b"gAMA", b"\0\0\xb1\x8f") + png_chunk(b"eXIf", b"MM\0*")
    with_extra = data[:33] + extra + data[33:]
    slim = essential_png(with_extra)
    assert b"tEXt" not in slim and b"acTL" not in slim
    np.testing.assert_array_equal(read_image(with_extra), read_image(data))
    assert essential_png(slim) == slim


def jpeg_with(before_frame: bytes) -> bytes:
    """A JPEG with something between its start and everything else."""
    whole = FILES["jpeg"][0]
    return whole[:2] + before_frame + whole[2:]


HUGE_FRAME = b"\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0"


@pytest.mark.parametrize("marker", [b"\xff\xd0", b"\xff\xd7", b"\xff\x01", b"\xff\x00", b"\xff\x02", b"\xff\xd8"])
def test_a_frame_hidden_behind_a_marker_without_length_is_not_overlooked(marker: bytes) -> None:
    """A decoder passes over such a marker; who takes it for a segment skips the frame that the decoder sees."""
    hidden = marker + struct.pack(">H", 2 + len(HUGE_FRAME)) + HUGE_FRAME
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(jpeg_with(hidden))
    with pytest.raises(ImageError, match="65535x65535"):
        read_image(jpeg_with(HUGE_FRAME))


def test_a_segment_shorter_than_its_own_length_is_damage() -> None:
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(jpeg_with(b"\xff\xe0\0\0"))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """Each scan passes over the whole image: a small file would keep a decoder busy for hours."""
    whole = FILES["jpeg"][2]
    scan = whole[whole.rfind(b"\xff\xda") : -2]
    room = _headers.MAX_SCANS - whole.count(b"\xff\xda")
    assert room > 20 and read_image(whole[:-2] + scan * room + whole[-2:]).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(whole[:-2] + scan * (room + 1) + whole[-2:])


def test_a_file_of_nothing_but_small_pieces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_headers, "MAX_PIECES", 20)
    png = FILES["png"][0]
    for data in (
        png[:33] + png_chunk(b"teXt", b"") * 20 + png[33:],
        jpeg_with(b"\xff" * 20),
        jpeg_with(b"\xff\xe0\0\2" * 20),
    ):
        with pytest.raises(ImageError, match="truncated or damaged"):
            read_image(data)
    assert read_image(png[:33] + png_chunk(b"teXt", b"") * 9 + png[33:]).shape == (HEIGHT, WIDTH)


def test_a_png_with_two_headers_or_another_first_chunk_is_damaged() -> None:
    png = FILES["png"][0]
    header = png[8:33]
    for data in (png[:33] + header + png[33:], png[:8] + png_chunk(b"gAMA", bytes(13)) + png[8:]):
        with pytest.raises(ImageError, match=r"truncated or damaged|megapixels"):
            read_image(data)


def tiff_with(*entries: tuple[int, int, list[int]]) -> bytes:
    kept = [entry for entry in GREY_TIFF if entry[0] not in {tag for tag, _, _ in entries}]
    return formats.tiff([*kept, *entries], bytes(64))


def test_the_larger_of_two_sizes_counts_in_either_order() -> None:
    assert read_image(tiff_with((256, SHORT, [8]))).shape == (8, 8)
    for values in ([8, 60_000], [60_000, 8]):
        with pytest.raises(ImageError, match="60000x8"):
            read_image(tiff_with(*((256, SHORT, [value]) for value in values)), max_pixels=100_000)


@pytest.mark.parametrize("kind", [1, 2, 5, 6, 8, 9, 11, 12, 13, 16, 17, 99])
def test_a_size_of_an_odd_type_is_refused(kind: int) -> None:
    """What is eight bytes long stands elsewhere; its offset would pass for a size."""
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(tiff_with((256, kind, [8])))


@pytest.mark.parametrize("tag", [256, 257, 277])
def test_a_size_of_several_values_is_refused(tag: int) -> None:
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(tiff_with((tag, SHORT, [8, 8])))


@given(
    st.lists(st.tuples(st.sampled_from([256, 257, 258, 277, 322, 323]), st.integers(1, 17), st.integers(0, 2**16 - 1)))
)
def test_no_directory_leads_past_the_limits(entries: list[tuple[int, int, int]]) -> None:
    data = formats.tiff([*GREY_TIFF, *((tag, kind, [value]) for tag, kind, value in entries)], bytes(64))
    try:
        pixels = read_image(data, max_pixels=1000)
    except ImageError:
        return
    assert pixels.shape[0] * pixels.shape[1] <= 1000


def test_deep_pixels_count_by_their_bytes() -> None:
    deep = encode(np.zeros((40, 64, 4), np.uint16), ".png")
    assert read_image(deep, max_pixels=5120).shape == (40, 64, 3)
    with pytest.raises(ImageError, match=r"64x40 with 8 bytes a pixel, more than 0\.020476 MB; save it with 8 bits"):
        read_image(deep, max_pixels=5119)
    doubles = tiff_with((258, SHORT, [64] * 4), (277, SHORT, [4]))
    with pytest.raises(ImageError, match="8x8 with 32 bytes a pixel"):
        read_image(doubles, max_pixels=200)
    pair = tiff_with((258, SHORT, [16, 32]), (277, SHORT, [2]))
    with pytest.raises(ImageError, match="8x8 with 8 bytes a pixel"):
        read_image(pair, max_pixels=100)


def test_an_unknown_webp_chunk_is_damage() -> None:
    whole = bytearray(FILES["webp"][0])
    whole[12:16] = b"ALPH"
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(bytes(whole))


@pytest.mark.parametrize("height", [-40, 40])
def test_bitmaps_stand_upright_whichever_row_comes_first(height: int) -> None:
    colour = np.stack([drawing(1)] * 3, axis=2)
    stored = colour if height < 0 else colour[::-1]
    np.testing.assert_array_equal(read_image(formats.bmp(WIDTH, height, 24, stored.tobytes())), colour)


@pytest.mark.parametrize("height", [-(2**31), 2**31 - 1, 0])
def test_bitmaps_of_extreme_heights_are_refused(height: int) -> None:
    with pytest.raises(ImageError, match=r"megapixels|smaller than 8"):
        read_image(formats.bmp(WIDTH, height, 24, b""))


@pytest.mark.parametrize("orientation", range(10))
def test_any_orientation_is_taken(orientation: int) -> None:
    data = formats.with_orientation(FILES["jpeg"][1], orientation)
    assert read_image(data).shape[:2] == ((WIDTH, HEIGHT) if 5 <= orientation <= 8 else (HEIGHT, WIDTH))


def test_a_decoder_that_returns_more_than_the_header_said_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((100, 100), np.uint8))
    with pytest.raises(ImageError, match="100x100, more than"):
        read_image(FILES["png"][0], max_pixels=WIDTH * HEIGHT)


def test_memory_that_runs_out_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "_decode", fail)
    with pytest.raises(ImageError, match="needs more memory than there is; crop it"):
        read_image(FILES["png"][0])


@pytest.mark.parametrize("source", [None, 5, [], {}, object()])
def test_what_is_no_image_at_all_is_named(source: object) -> None:
    with pytest.raises(ImageError, match=f"<{type(source).__name__}> is no image; give a path"):
        read_image(source)  # type: ignore[arg-type]


def test_every_kind_of_bytes_is_read_and_too_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES["png"][0]
    for source in (bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(read_image(source), read_image(data))  # type: ignore[arg-type]
    monkeypatch.setattr(images, "MAX_FILE_BYTES", len(data) - 1)
    with pytest.raises(ImageError, match="is larger than"):
        read_image(data)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tall_images_are_converted_row_by_row_without_seams(channels: int) -> None:
    draw = np.random.default_rng(0)
    deep = draw.integers(0, 2**16, (2 * images._ROWS + 5, 9, channels), np.uint16)
    levels = ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
    np.testing.assert_array_equal(read_image(encode(deep, ".png")), read_image(levels))
    if channels == 4:
        alpha = levels[..., 3:].astype(int)
        paper = (levels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        np.testing.assert_array_equal(read_image(levels), paper)
