"""A map of galaxies as a part of a page: points to colour, pictures as one zooms in, regions to list."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from pipeline.catalogue.rows import answer_matrix
from pipeline.report.document import Raw, Section
from pipeline.report.palette import SERIES, ramp
from pipeline.report.templates import environment, joined
from pipeline.tree import DecisionTree

TILE = 64
"""Width of a picture on the page, in pixels."""

_SHEET_TILES = 1024
"""Pictures of a sheet: it has 32 rows of 32."""

_QUALITY = 72
_SHADES = 32
_STYLES = ("parts.css", "map.css")
_SCRIPTS = ("basics.js", "map_data.js", "map_view.js", "map.js")


@dataclass(frozen=True)
class GalaxyMap:
    """Galaxies with their places.

    Attributes
    ----------
    galaxies
        Columns ``object_id, ra, dec`` and a tree's answers.
    places : ndarray, shape (n, 2), float32
        Within the unit square.
    pictures
        Pictures by row, `TILE` pixels wide, in the order in which they appear as one zooms in.
    """

    galaxies: pa.Table
    places: NDArray[np.float32]
    pictures: Mapping[int, bytes]


def map_section(tree: DecisionTree, drawn: GalaxyMap) -> Section:
    """The map, for `pipeline.report.document.write_document`."""
    html = (
        environment()
        .get_template("map.html.j2")
        .render(tree=tree, data=Markup(_data(tree, drawn)), total=len(drawn.galaxies))  # noqa: S704
    )
    text = (
        "Each point is a galaxy. Neighbours look alike to the network; how far apart two distant groups are "
        "says little, and neither axis means anything."
    )
    return Section("Map", text, [Raw(html, joined(*_STYLES), joined(*_SCRIPTS))])


def _data(tree: DecisionTree, drawn: GalaxyMap) -> str:
    """What the page's script reads, as JSON that can't end the element it stands in."""
    galaxies = drawn.galaxies
    shares = np.clip(np.nan_to_num(answer_matrix(tree, galaxies)), 0, 1)
    sky = np.stack([galaxies[name].to_numpy() for name in ("ra", "dec")]).astype("<f4")
    places = np.round(drawn.places.T * 65535).astype("<u2")
    data = {
        "count": len(galaxies),
        "questions": [{"text": q.text, "answers": [a.text for a in q.answers]} for q in tree.questions],
        "series": SERIES,
        "ramps": {theme: ramp(_SHADES, dark=theme == "dark") for theme in ("light", "dark")},
        "ids": _packed(json.dumps(galaxies["object_id"].to_pylist(), ensure_ascii=False).encode()),
        "places": _packed(places.tobytes()),
        "sky": _packed(sky.tobytes()),
        "shares": _packed(np.round(shares.T * 255).astype(np.uint8).tobytes()),
        "tile": TILE,
        "pictured": list(drawn.pictures),
        "sheetTiles": _SHEET_TILES,
        "sheets": list(_sheets(list(drawn.pictures.values()))),
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")


def _sheets(pictures: Sequence[bytes]) -> Iterator[str]:
    """Sheets of pictures, row after row, as data URIs."""
    across = math.isqrt(_SHEET_TILES)
    for start in range(0, len(pictures), _SHEET_TILES):
        some = pictures[start : start + _SHEET_TILES]
        sheet = Image.new("RGB", (across * TILE, math.ceil(len(some) / across) * TILE))
        for number, picture in enumerate(some):
            with Image.open(io.BytesIO(picture)) as image:
                sheet.paste(image, (number % across * TILE, number // across * TILE))
        buffer = io.BytesIO()
        sheet.save(buffer, "WEBP", quality=_QUALITY)
        yield f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
