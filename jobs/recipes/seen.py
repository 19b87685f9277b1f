"""Which pictures weights were trained on: ``python -m jobs.recipes.seen WEIGHTS TABLE… [lacks=SENTENCE]``.

For weights that have no such list beside them yet: `train` writes it by itself. Each TABLE is a CSV with a
column ``image``, URIs or paths below the table's folder, as a label table has it, or with ``GalaxyID`` for
``images_training_rev1/<GalaxyID>.jpg``; votes aren't needed. Galaxies that the weights' card calls held out
are passed over. ``lacks`` says what the weights were trained on beside, where that can't be named any more.

Where pictures were made smaller for the training, name them as they were before: those are what others have.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection

import pandas as pd

from pipeline import storage
from pipeline.errors import InputError
from pipeline.network import read_card
from pipeline.training.labels import IMAGES_FOLDER, image_uri
from pipeline.training.seen import keep_seen

_LACKS = "lacks="


def main() -> None:
    """Write the digests beside the weights."""
    options = [word for word in sys.argv[2:] if word.startswith(_LACKS)]
    weights, *tables = (storage.absolute(word) for word in sys.argv[1:] if word not in options)
    held_out = set(read_card(weights).score.get("held_out_galaxies", ()))
    images = [image for table in tables for image in images_of(table, held_out)]
    keep_seen(weights, images, lacks="".join(options).removeprefix(_LACKS))


def images_of(table: str, held_out: Collection[str] = ()) -> list[str]:
    """URIs of the pictures that a table names, but of galaxies held out.

    Raises
    ------
    InputError
        If it is no such table.
    """
    try:
        rows = pd.read_csv(io.BytesIO(storage.read_bytes(table)), dtype=str)
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{table} is not a CSV: {' '.join(str(error).split())}") from error
    if "image" not in rows and "GalaxyID" in rows:
        rows["image"] = IMAGES_FOLDER + "/" + rows["GalaxyID"] + ".jpg"
    if "image" not in rows:
        raise InputError(f"{table} has no column image, and no GalaxyID; expected one of them")
    identifier = next((name for name in ("object_id", "GalaxyID") if name in rows), None)
    if identifier is not None:
        rows = rows[~rows[identifier].isin(list(held_out))]
    folder = table.rpartition("/")[0]
    return [image_uri(folder, image) for image in rows["image"].dropna()]


if __name__ == "__main__":
    main()
