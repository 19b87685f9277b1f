"""Some hundred kinds of bad and odd images, made anew each time and always alike."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

FINE = "fine"
BROKEN = ("truncated", "damaged")


@dataclass(frozen=True)
class Kind:
    """A kind of row: what differs from a good one, and what may become of it.

    Attributes
    ----------
    outcomes
        Reasons of the quarantine, or `FINE`; several where damage may or may not be seen.
    """

    name: str
    outcomes: tuple[str, ...]
    row: dict[str, Any] = field(default_factory=dict)


def picture(width: int = 64, height: int = 56, seed: int = 0) -> NDArray[np.uint8]:
    """A galaxy of sorts: a bright middle with noise, uint8 RGB."""
    y, x = np.mgrid[:height, :width]
    light = 220 * np.exp(-np.hypot(x - width / 2, y - height / 2) / (width / 6))
    noise = np.random.default_rng(seed).normal(12, 6, (height, width, 3))
    pixels: NDArray[np.uint8] = np.clip(light[..., None] + noise, 0, 255).astype(np.uint8)
    return pixels


def encode(pixels: NDArray[Any], form: str, mode: str | None = None, **options: Any) -> bytes:
    """Pixels as a file's bytes."""
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, form, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(*chunks: bytes) -> bytes:
    """A PNG of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def header(width: int, height: int, depth: int = 8, color: int = 2, interlace: int = 0) -> bytes:
    """The IHDR chunk."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))


END = chunk(b"IEND", b"")
PICTURE = picture()
JPEG = encode(PICTURE, "JPEG", quality=90)
PROGRESSIVE = encode(PICTURE, "JPEG", quality=90, progressive=True)
PNG = encode(PICTURE, "PNG")


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A copy with some bytes changed."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def image_kinds() -> Iterator[Kind]:
    """All kinds that differ in the image alone."""
    for name, outcomes, data in (*_jpegs(), *_pngs(), *_other_pngs(), *_others()):
        yield Kind(name, (outcomes,) if isinstance(outcomes, str) else outcomes, {"image": data})


def _patched(data: bytes, marker: bytes, offset: int, value: bytes) -> bytes:
    start = data.index(marker) + offset
    return data[:start] + value + data[start + len(value) :]


def _jpegs() -> Iterator[tuple[str, str | tuple[str, ...], bytes]]:
    sof, dqt, dht, sos = b"\xff\xc0", b"\xff\xdb", b"\xff\xc4", b"\xff\xda"
    scan = JPEG.index(sos) + 14
    for size in (2, 3, 4, 20, JPEG.index(sof), JPEG.index(dht) + 9, scan, scan + 40, len(JPEG) - 2):
        outcome = "not_an_image" if size < 3 else BROKEN
        yield f"jpeg cut at {size}", outcome, JPEG[:size]
    for share in (0.4, 0.7, 0.95):
        yield f"progressive jpeg cut at {share}", BROKEN, PROGRESSIVE[: int(share * len(PROGRESSIVE))]
    yield "jpeg, header bits flipped", BROKEN, _patched(JPEG, sof, 9, b"\xfd")
    yield "jpeg, quantization table gone", BROKEN, JPEG.replace(dqt, b"\xff\xee")
    yield "jpeg, quantization table of noise", (FINE, *BROKEN), _patched(JPEG, dqt, 5, bytes(range(1, 60)))
    yield "jpeg, zero quantization", (FINE, *BROKEN), _patched(JPEG, dqt, 5, bytes(64))
    yield "jpeg, huffman counts of noise", BROKEN, _patched(JPEG, dht, 5, b"\xff" * 16)
    yield "jpeg, huffman symbols swapped", (FINE, *BROKEN), _patched(JPEG, dht, 21, b"\xf0\x0f\xaa")
    yield "jpeg, segment length 0", BROKEN, _patched(JPEG, dqt, 2, b"\0\0")
    yield "jpeg, segment length 65535", BROKEN, _patched(JPEG, dqt, 2, b"\xff\xff")
    yield "jpeg, scan bits flipped", (FINE, *BROKEN), _patched(JPEG, sos, 60, b"\x55\xaa\x55")
    yield "jpeg, scan of zeros", (FINE, *BROKEN), JPEG[:scan] + bytes(len(JPEG) - scan - 2) + b"\xff\xd9"
    yield "jpeg, no scan at all", BROKEN, JPEG[: JPEG.index(sos)] + b"\xff\xd9"
    yield "jpeg, component named twice", (FINE, *BROKEN), _patched(JPEG, sof, 13, b"\x01")
    yield "jpeg, sampling 4x4", BROKEN, _patched(JPEG, sof, 11, b"\x44")
    yield "jpeg, sampling 0", BROKEN, _patched(JPEG, sof, 11, b"\x00")
    yield "jpeg, zero width", (*BROKEN, "too_small"), _patched(JPEG, sof, 7, b"\0\0")
    yield "jpeg, zero height", (*BROKEN, "too_small"), _patched(JPEG, sof, 5, b"\0\0")
    yield "jpeg, huge", "too_large", _patched(JPEG, sof, 5, struct.pack(">HH", 65_000, 65_000))
    yield (
        "jpeg, claims 8000 x 8000",
        (*BROKEN, "bad_frame"),
        _patched(JPEG, sof, 5, struct.pack(">HH", 8000, 8000)),
    )
    yield "jpeg, claims to be taller", BROKEN, _patched(JPEG, sof, 5, struct.pack(">H", 400))
    yield "jpeg, 12 bits", BROKEN, _patched(JPEG, sof, 4, b"\x0c")
    yield "jpeg, arithmetic", (FINE, *BROKEN), _patched(JPEG, sof, 1, b"\xc9")
    yield "jpeg, lossless", BROKEN, _patched(JPEG, sof, 1, b"\xc3")
    yield "jpeg, hierarchical", BROKEN, _patched(JPEG, sof, 1, b"\xc5")
    yield "jpeg, called progressive", BROKEN, _patched(JPEG, sof, 1, b"\xc2")
    yield "jpeg, progressive", FINE, PROGRESSIVE
    yield "jpeg, optimized", FINE, encode(PICTURE, "JPEG", optimize=True)
    yield "jpeg, 4:4:4", FINE, encode(PICTURE, "JPEG", subsampling=0)
    yield "jpeg, quality 1", FINE, encode(PICTURE, "JPEG", quality=1)
    restarts = encode(PICTURE, "JPEG", quality=90, restart_marker_blocks=2)
    yield "jpeg, restart markers", FINE, restarts
    yield "jpeg, a restart marker gone", (FINE, *BROKEN), restarts.replace(b"\xff\xd3", b"\x12\x34")
    yield "jpeg, restart markers exchanged", (FINE, *BROKEN), restarts.replace(b"\xff\xd2", b"\xff\xd6")
    yield "jpeg, garbage behind", FINE, JPEG + b"garbage" * 99
    yield "jpeg, garbage before", "not_an_image", b"garbage" + JPEG
    yield "jpeg, two of them", FINE, JPEG + JPEG
    yield "jpeg, its start twice", BROKEN, JPEG[:2] + JPEG
    yield "jpeg, no end but zeros", BROKEN, JPEG[:-2] + bytes(100)
    yield "jpeg, long comment", FINE, encode(PICTURE, "JPEG", comment=b"c" * 60_000)
    yield "jpeg, grey", "grey", encode(PICTURE, "JPEG", "L")
    yield "jpeg, printing colours", "cmyk", encode(PICTURE, "JPEG", "CMYK")
    yield "jpeg, one pixel", "too_small", encode(PICTURE[:1, :1], "JPEG")
    yield "jpeg, a line", "too_small", encode(PICTURE[:7], "JPEG")
    yield "jpeg, 8 x 8", FINE, encode(PICTURE[:8, :8], "JPEG")
    yield "jpeg, 2000 x 8", FINE, encode(picture(2000, 8), "JPEG")
    yield "jpeg, 30000 x 8", "bad_frame", encode(np.zeros((8, 30_000, 3), np.uint8), "JPEG")
    yield "jpeg, 8 x 30000", "bad_frame", encode(np.zeros((30_000, 8, 3), np.uint8), "JPEG")
    yield "jpeg, all black", FINE, simplejpeg.encode_jpeg(np.zeros((40, 40, 3), np.uint8))


def _pngs() -> Iterator[tuple[str, str | tuple[str, ...], bytes]]:
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PICTURE))
    height, width = PICTURE.shape[:2]
    good, data = header(width, height), chunk(b"IDAT", pixels)
    for size in (7, 8, 20, 33, 50, len(PNG) // 2, len(PNG) - 14, len(PNG) - 1):
        yield f"png cut at {size}", "not_an_image" if size < 8 else BROKEN, PNG[:size]
    yield "png, plain chunks", FINE, png_of(good, data, END)
    yield "png, bad header checksum", "damaged", png_of(good[:-1] + b"?", data, END)
    yield "png, bad data checksum", "damaged", png_of(good, data[:-1] + b"?", END)
    yield "png, one bit of data", "damaged", png_of(good, data[:99] + bytes([data[99] ^ 1]) + data[100:], END)
    yield "png, no data", BROKEN, png_of(good, END)
    yield "png, no end", "truncated", png_of(good, data)
    yield "png, no header", BROKEN, png_of(data, END)
    yield "png, end alone", BROKEN, png_of(END)
    yield "png, header twice", (FINE, *BROKEN), png_of(good, good, data, END)
    yield "png, data not zlib", BROKEN, png_of(good, chunk(b"IDAT", b"no zlib at all"), END)
    yield "png, too few rows", BROKEN, png_of(good, chunk(b"IDAT", zlib.compress(b"\0" * 500)), END)
    yield "png, too many rows", FINE, png_of(good, chunk(b"IDAT", zlib.compress(bytes(400_000))), END)
    yield (
        "png, data in many chunks",
        FINE,
        png_of(good, *(chunk(b"IDAT", pixels[i : i + 7]) for i in range(0, len(pixels), 7)), END),
    )
    bomb = zlib.compress(bytes(60 << 20), 9)
    yield "png, data bomb", FINE, png_of(good, chunk(b"IDAT", bomb), END)
    yield "png, text bomb", (FINE, *BROKEN), png_of(good, chunk(b"zTXt", b"k\0\0" + bomb), data, END)
    yield (
        "png, international text bomb",
        (FINE, *BROKEN),
        png_of(good, chunk(b"iTXt", b"k\0\1\0\0\0" + bomb), data, END),
    )
    yield (
        "png, colour profile bomb",
        (FINE, *BROKEN),
        png_of(good, chunk(b"iCCP", b"k\0\0" + bomb), data, END),
    )
    yield (
        "png, bomb of claimed size",
        BROKEN,
        png_of(header(4000, 4000), chunk(b"IDAT", zlib.compress(b"\0")), END),
    )
    yield "png, huge", "too_large", png_of(header(2**31 - 1, 2**31 - 1), data, END)
    yield "png, size above 2^31", (*BROKEN, "too_large"), png_of(header(2**32 - 1, 9), data, END)
    yield "png, zero width", (*BROKEN, "too_small"), png_of(header(0, 9), data, END)
    yield "png, depth 3", BROKEN, png_of(header(width, height, 3), data, END)
    yield "png, colour type 5", BROKEN, png_of(header(width, height, 8, 5), data, END)
    yield (
        "png, unknown filter",
        (FINE, *BROKEN),
        png_of(good, chunk(b"IDAT", zlib.compress(b"\x09" * (height * (3 * width + 1)))), END),
    )
    yield "png, unknown critical chunk", (FINE, *BROKEN), png_of(good, chunk(b"ABCD", b"?"), data, END)
    yield "png, chunk of 4 GB", "truncated", png_of(good, b"\xff\xff\xff\xffIDAT", data, END)
    yield (
        "png, palette without one",
        (FINE, *BROKEN),
        png_of(header(16, 16, 8, 3), chunk(b"IDAT", zlib.compress(bytes(17 * 16))), END),
    )


def _other_pngs() -> Iterator[tuple[str, str | tuple[str, ...], bytes]]:
    """Sound ones of other kinds, and a few with something about them."""
    yield "png, palette", FINE, encode(PICTURE, "PNG", "P")
    yield (
        "png, 16 bits a colour",
        FINE,
        png_of(header(16, 16, 16), chunk(b"IDAT", zlib.compress((b"\0" + bytes(96)) * 16)), END),
    )
    yield "png, 16 bits grey", "grey", encode(PICTURE[..., 0].astype(np.uint16) * 257, "PNG")
    yield "png, one bit", "grey", encode(PICTURE, "PNG", "1")
    yield "png, grey", "grey", encode(PICTURE, "PNG", "L")
    yield "png, grey and alpha", "alpha", encode(PICTURE, "PNG", "LA")
    yield "png, alpha", "alpha", encode(PICTURE, "PNG", "RGBA")
    yield "png, transparent colour", "alpha", encode(PICTURE, "PNG", transparency=(0, 0, 0))
    yield (
        "png, interlaced",
        FINE,
        png_of(header(8, 8, 8, 2, 1), chunk(b"IDAT", zlib.compress(bytes(15 + 192))), END),
    )
    frames = [Image.fromarray(picture(seed=seed)) for seed in (1, 2)]
    yield "png, animated", FINE, encode(PICTURE, "PNG", save_all=True, append_images=frames)
    note = PngInfo()
    note.add_text("Comment", "t" * 500_000)
    yield "png, long text", FINE, encode(PICTURE, "PNG", pnginfo=note)
    yield "png, garbage behind", FINE, PNG + b"garbage"
    yield "png, 8 x 20000", "bad_frame", encode(np.zeros((20_000, 8, 3), np.uint8), "PNG")
    yield "png, called jpeg", BROKEN, b"\xff\xd8\xff" + PNG[3:]


def _others() -> Iterator[tuple[str, str | tuple[str, ...], bytes | None]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("galaxy.jpg"), JPEG)  # with a fixed date
    fits = b"SIMPLE  =                    T" + b" " * 50 + b"BITPIX  =                   16" + b" " * 2720
    yield "null", "empty", None
    yield "no bytes", "empty", b""
    for form in ("GIF", "TIFF", "WebP", "BMP", "ICO", "PPM"):
        yield form, "not_an_image", encode(PICTURE, form)
    texts = {
        "one byte": b"\xff",
        "two bytes": b"\xff\xd8",
        "zeros": bytes(5000),
        "noise": random.Random(1).randbytes(5000),
        "FITS": fits,
        "web page": b"<!DOCTYPE html><title>503</title>",
        "store's error": b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>",
        "zip": archive.getvalue(),
        "gzip": b"\x1f\x8b\x08\0" + bytes(50),
        "base64": b"/9j/4AAQSkZJRgABAQAAAQABAAD",
        "path": b"/data/galaxies/1.jpg",
        "fault, switched off": b"TUNINGFORK-FAULT:segv",
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(90),
        "PDF": b"%PDF-1.7",
    }
    for name, data in texts.items():
        yield name, "not_an_image", data
    yield "three bytes of a jpeg", BROKEN, b"\xff\xd8\xff"
    yield "a png's first bytes", BROKEN, b"\x89PNG\r\n\x1a\n"
