"""Reading images: every supported kind gives the same pixels, everything else is refused with a sentence."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime._headers import read_header
from sigedge_runtime.errors import ImageError
from sigedge_runtime.images import describe, read_image

Image = NDArray[np.uint8]
GREY: Image = np.add.outer(np.arange(20) * 7, np.arange(30) * 3).astype(np.uint8)
COLOUR: Image = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
LOSSLESS = [".png", ".bmp", ".tiff", ".webp"]


def encode(image: NDArray[np.generic], suffix: str, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, image, list(options))
    assert done
    return data.tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, pixels: bytes, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_formats_give_the_pixels_back(suffix: str, image: Image, tmp_path: Path) -> None:
    options = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ()
    data = encode(image, suffix, *options)
    (tmp_path / f"image{suffix}").write_bytes(data)
    for source in (tmp_path / f"image{suffix}", str(tmp_path / f"image{suffix}"), data):
        read = read_image(source)
        assert read.dtype == np.uint8
        # WebP knows no grey images.
        expected = cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR) if suffix == ".webp" and image is GREY else image
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("progressive", [0, 1])
def test_jpeg_comes_close(image: Image, progressive: int) -> None:
    read = read_image(encode(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))
    assert read.shape == image.shape
    assert np.abs(read.astype(int) - image).mean() < 3


def test_lossy_webp_comes_close() -> None:
    read = read_image(encode(COLOUR, ".webp", cv2.IMWRITE_WEBP_QUALITY, 95))
    assert read.shape == COLOUR.shape


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_rounded_to_eight(suffix: str) -> None:
    deep = (GREY.astype(np.uint16) * 257) + 100
    np.testing.assert_array_equal(read_image(encode(deep, suffix)), GREY)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_becomes_white_paper(suffix: str) -> None:
    image = np.dstack([COLOUR, np.zeros_like(GREY)])
    image[:, 15:, 3] = 255
    read = read_image(encode(image, suffix, *((cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ())))
    assert (read[:, :15] == 255).all()
    np.testing.assert_array_equal(read[:, 15:], COLOUR[:, 15:])


def test_half_transparency_is_rounded_to_nearest() -> None:
    image = np.full((8, 8, 4), (0, 100, 255, 128), np.uint8)
    expected = [round((c * 128 + 255 * 127) / 255) for c in (0, 100, 255)]
    np.testing.assert_array_equal(read_image(image)[0, 0], expected)


def test_palettes_and_grey_with_alpha_are_resolved() -> None:
    rows = b"".join(b"\0" + bytes(x % 2 for x in range(10)) for _ in range(10))
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255]))
    np.testing.assert_array_equal(read_image(png(10, 10, 8, 3, rows, palette))[0, :2], [[0, 0, 255], [255, 0, 0]])
    half = b"".join(b"\0" + bytes([0, 255 * (y % 2)]) * 10 for y in range(10))
    shades = read_image(png(10, 10, 8, 4, half))
    assert (shades[0] == 255).all() and (shades[1] == 0).all()


def test_one_bit_png_is_black_and_white() -> None:
    rows = (b"\0" + bytes([0b10101010, 0b10101010])) * 10
    assert set(np.unique(read_image(png(16, 10, 1, 0, rows)))) == {0, 255}


def test_the_orientation_of_a_photo_is_applied() -> None:
    data = encode(GREY, ".jpg")
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert read_image(turned).shape == GREY.shape[::-1]


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
def test_arrays_are_taken_as_they_are(shape: tuple[int, ...]) -> None:
    assert read_image(np.zeros(shape, np.uint8)).shape[:2] == (20, 30)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((20, 30), np.float32), "float32"),
        (np.zeros((20, 30, 2), np.uint8), "2 channels"),
        (np.zeros(20, np.uint8), "not an image"),
        (np.zeros((2, 20, 30, 3), np.uint8), "not an image"),
        (np.zeros((1, 1), np.uint8), "smaller than 8"),
        (np.zeros((0, 0), np.uint8), "smaller than 8"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array: Image, word: str) -> None:
    with pytest.raises(ImageError, match=word):
        read_image(array)


WHOLE = encode(COLOUR, ".png")
# Files nobody can verify, with a word of the sentence that each must give.
BAD_FILES = {
    "empty.png": (b"", "empty"),
    "truncated.png": (WHOLE[: len(WHOLE) // 2], "truncated"),
    "no-end.png": (WHOLE[:-12], "truncated"),
    "magic-only.png": (WHOLE[:8], "truncated"),
    "flipped.png": (WHOLE[:60] + bytes([WHOLE[60] ^ 255]) + WHOLE[61:], "damaged"),
    "truncated.jpg": (encode(COLOUR, ".jpg")[:-40], "truncated"),
    "header-only.jpg": (b"\xff\xd8\xff\xe0\0\x10", "truncated"),
    "truncated.bmp": (encode(COLOUR, ".bmp")[:-40], "truncated"),
    "truncated.webp": (encode(COLOUR, ".webp")[:-40], "truncated"),
    "truncated.tiff": (encode(COLOUR, ".tiff")[:12], "truncated"),
    "text.png": (b"I am no picture.\n", "not a PNG"),
    "sound.webp": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "not a PNG"),
    "dot.png": (encode(np.zeros((1, 1), np.uint8), ".png"), "smaller than 8"),
    "strip.bmp": (encode(np.zeros((7, 400), np.uint8), ".bmp"), "smaller than 8"),
    "huge.png": (png(20_000, 10_000, 8, 0, b""), "megapixels"),
    "float.tiff": (encode(GREY.astype(np.float32), ".tiff"), "float32"),
    "nonsense.png": (png(20, 20, 8, 0, b"not enough"), "decode"),
}


@pytest.mark.parametrize("name", list(BAD_FILES))
def test_bad_files_are_refused_with_their_name(name: str, tmp_path: Path) -> None:
    data, word = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=word) as raised:
        read_image(tmp_path / name)
    assert name in str(raised.value) and str(raised.value).endswith(".")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
def test_headers_tell_the_size(suffix: str) -> None:
    header = read_header(encode(COLOUR, suffix))
    assert header is not None
    assert (header.width, header.height, header.complete) == (30, 20, True)


def test_headers_of_rare_kinds() -> None:
    core = b"BM" + struct.pack("<IIIIHHHH", 26, 0, 26, 12, 30, 20, 1, 24) + bytes(92 * 20)
    motorola = b"MM\0*" + struct.pack(">IH", 8, 2) + struct.pack(">HHIHxxHHII", 256, 3, 1, 30, 257, 4, 1, 20)
    fill_byte = encode(COLOUR, ".jpg").replace(b"\xff\xe0", b"\xff\xff\xe0", 1)
    simple_webp = encode(COLOUR, ".webp", cv2.IMWRITE_WEBP_QUALITY, 50)
    for data in (core, motorola, fill_byte, simple_webp):
        header = read_header(data)
        assert header is not None
        assert (header.width, header.height, header.complete) == (30, 20, True)


def test_jpegs_without_a_frame_header_are_truncated() -> None:
    for data in (b"\xff\xd8\xff\xda\0\4\0\0", b"\xff\xd8\xff\xe0\0\4\0\0\0\0\0\0"):
        with pytest.raises(ImageError, match="truncated"):
            read_image(data)


def test_extended_webp_tells_the_size_of_its_canvas() -> None:
    extended = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    extended += (29).to_bytes(3, "little") + (19).to_bytes(3, "little")
    header = read_header(extended)
    assert header is not None
    assert (header.width, header.height) == (30, 20)


def test_a_decoder_that_raises_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise cv2.error("imdecode failed")

    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(ImageError, match="cannot be decoded; open it in an image editor"):
        read_image(encode(GREY, ".png"))


def test_a_tile_larger_than_the_image_counts_as_its_size() -> None:
    entries = [(256, 4, 30), (257, 4, 20), (322, 4, 16_384), (323, 4, 16_384)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    with pytest.raises(ImageError, match="16384x16384"):
        read_image(b"II*\0" + struct.pack("<IH", 8, 4) + body)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
@given(data=st.data())
def test_damaged_files_never_crash(suffix: str, data: st.DataObject) -> None:
    whole = bytearray(encode(COLOUR, suffix))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = read_image(bytes(whole[: data.draw(st.integers(1, len(whole)))]), max_pixels=10_000)
    except ImageError:
        return
    assert read.dtype == np.uint8 and read.size <= 30_000


def test_a_huge_image_is_refused_without_decoding_it(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    # 200 megapixels that really are in the file: zeros compress well.
    path.write_bytes(png(20_000, 10_000, 1, 0, bytes(2501 * 10_000)))
    code = (
        "import resource, sys\n"
        "from sigedge_runtime.images import read_image\n"
        "from sigedge_runtime.errors import ImageError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_image(sys.argv[1])\nexcept ImageError as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=env, capture_output=True, text=True, check=True)
    kilobytes, sentence = done.stdout.split(maxsplit=1)
    assert int(kilobytes) < 20_000 and "20000x10000" in sentence


def test_the_limit_can_be_set() -> None:
    data = encode(GREY, ".png")
    assert read_image(data, max_pixels=600).shape == (20, 30)
    with pytest.raises(ImageError, match="30x20"):
        read_image(data, max_pixels=599)


def test_missing_files_folders_and_other_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.png does not exist"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="is not a file"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="is not a file"):
        read_image("/dev/null")
    with pytest.raises(ImageError, match=r"cannot be read|does not exist"):
        read_image("zero\0byte.png")


def test_a_file_beyond_the_size_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(300 * 2**20)
    with pytest.raises(ImageError, match="larger than 256 MB"):
        read_image(path)


def test_a_file_that_may_not_be_read_names_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encode(GREY, ".png"))

    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"secret\.png.*Permission denied"):
        read_image(path)


def test_sources_are_described_for_people() -> None:
    assert describe(Path("a/b.png")) == "a/b.png"
    assert describe(b"1234") == "<4 bytes>"
    assert describe(np.zeros((2, 3), np.uint8)) == "<array 2x3>"
