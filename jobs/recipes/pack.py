"""Label tables with their pictures, small enough to carry: ``python -m jobs.recipes.pack LABELS OUT``.

LABELS is what `jobs.recipes.labels` wrote. OUT gets the same tables, and each of their pictures at half its
size as a JPEG: `jobs.recipes.weights` takes either. 12,000 galaxies fill less than 60 MB.
"""

from __future__ import annotations

import io
import sys

import numpy as np
import pandas as pd
import simplejpeg
from numpy.typing import NDArray

from pipeline import storage
from pipeline.console import progress, say
from pipeline.images import decode_image

TABLES = ("pretraining.csv", "votes.csv", "unseen.csv", "unlabelled.csv")

_QUALITY = 72


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (rows, columns, 3) at half its size, each pixel the mean of four; an odd edge is repeated."""
    odd = [(0, side % 2) for side in pixels.shape[:2]]
    whole = np.pad(pixels, [*odd, (0, 0)], mode="edge")
    rows, columns, colours = whole.shape
    fours = whole.reshape(rows // 2, 2, columns // 2, 2, colours)
    means: NDArray[np.float64] = fours.mean(axis=(1, 3))
    return np.rint(means).astype(np.uint8)


def main() -> None:
    """Write tables and pictures."""
    folder, out = storage.absolute(sys.argv[1]), storage.absolute(sys.argv[2])
    images: dict[str, str] = {}
    for name in TABLES:
        table = pd.read_csv(io.BytesIO(storage.read_bytes(f"{folder}/{name}")), dtype={"object_id": str})
        names = [f"images/{name}.jpg" for name in table["object_id"]]
        images |= dict(zip(names, table["image"], strict=True))
        halves = table.assign(image=names, frame_pixels=table["frame_pixels"] / 2)
        storage.write_bytes(f"{out}/{name}", halves.to_csv(index=False).encode())
    size = 0
    with progress("Pictures", len(images)) as advance:
        for name, image in images.items():
            half = halved(decode_image(storage.read_bytes(image)))
            jpeg = simplejpeg.encode_jpeg(half, quality=_QUALITY, colorsubsampling="420")
            storage.write_bytes(f"{out}/{name}", jpeg)
            size += len(jpeg)
            advance(1)
    say(f"{len(images):,} pictures, {size / 1e6:.0f} MB: {out}")


if __name__ == "__main__":
    main()
