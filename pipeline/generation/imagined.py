"""A cutout set of galaxies that were made, each of whose files and rows says so.

Files are only ever created, none is replaced, and their bytes follow from ``imagined.json``, which is the
first: whoever finds other settings there goes no further, and whoever finds the same ones goes on from what
is there. ``survey.json`` is the last, and nobody reads shards without it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.cutouts import ShardWriter, Survey, read_rows
from pipeline.cutouts.ingest import IngestResult, already_there
from pipeline.cutouts.manifest import ShardRows, create_survey
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.generation.generator import Generator
from pipeline.generation.pictures import PICTURE_FRAME, SIDE, to_bytes
from pipeline.images.encode import encode_png
from pipeline.network.checkpoint import read_json
from pipeline.tree import DecisionTree

PROVENANCE, LABELS, IMAGES = "imagined.json", "labels.csv", "images"
"""Files and folder beside the shards."""

SYNTHETIC = "synthetic galaxies"
"""The name of every set."""

UNIT = 256
"""Galaxies of a shard; what is made is written, and read again after a kill, by shards."""

FURTHER = (
    pa.field(
        "synthetic", pa.bool_(), metadata={"description": "Made by a network, not observed: always true"}
    ),
    pa.field("weights", pa.string(), metadata={"description": "sha256 of the network's weight file"}),
    pa.field("seed", pa.int64()),
)
"""Columns of the shards beside those of any cutout set."""

DISCLAIMER = "Synthetic: made by a network, not observed. There is no such galaxy."

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>'
    "</rdf:RDF></x:xmpmeta>"
)
"""The same in the words of IPTC's Photo Metadata Standard, by which programs know generated pictures."""


class Request(StrictModel):
    """What is to be made: pictures follow from it, and from nothing else.

    Attributes
    ----------
    synthetic
        Always true.
    weights
        sha256 of the generator's weight file.
    tree
        Name of the decision tree.
    votes
        The fractions that were asked for, by answer.
    count
        Galaxies.
    seed
        Of the noise that they are made of.
    guidance, steps
        See `Generator.make`.
    """

    synthetic: bool = True
    weights: str
    tree: str
    votes: dict[str, float]
    count: int
    seed: int
    guidance: float
    steps: int

    @property
    def source(self) -> str:
        """What the set is made from, for its manifest."""
        return f"tuningfork imagine, weights {self.weights}"

    def name_of(self, number: int) -> str:
        """The object_id of a galaxy; no two sets share one."""
        return f"synthetic-{digest(self.model_dump())[:12]}-{number:06d}"

    def texts(self, number: int) -> dict[str, str]:
        """What a picture's file says of it."""
        return {
            "Title": self.name_of(number),
            "Disclaimer": DISCLAIMER,
            "Source": json.dumps(self.model_dump(), sort_keys=True),
            "XML:com.adobe.xmp": _XMP,
        }


def existing(request: Request, output: str) -> IngestResult | None:
    """The set, if it is whole already; None if nothing is there, or its beginning.

    Raises
    ------
    InputError
        If something else is there, or the beginning of another set.
    """
    found = already_there(output, request.source, request.model_dump(), beside=(PROVENANCE, LABELS, IMAGES))
    if found is None:
        _refuse_another(request, storage.join(output, PROVENANCE))
    return found


def imagine(
    request: Request,
    votes: NDArray[np.float32],
    generator: Generator,
    tree: DecisionTree,
    output: str,
    made: Callable[[int], None] = lambda count: None,
) -> IngestResult:
    """Make a set, or what is missing of it.

    Parameters
    ----------
    votes
        Fractions to ask of the generator, see `pipeline.generation.asking.asked_votes`.
    made
        Called with the number of galaxies that have been made since its last call.

    Raises
    ------
    InputError
        As `existing`, or if a file can't be written.
    """
    found = existing(request, output)
    if found is not None:
        return found
    storage.create(storage.join(output, PROVENANCE), _as_json(request))
    _refuse_another(request, storage.join(output, PROVENANCE))
    there = {storage.name(file.uri) for file in storage.list_files(storage.join(output, IMAGES), ".png")}
    shards = []
    for start in range(0, request.count, UNIT):
        numbers = range(start, min(start + UNIT, request.count))
        shard = ShardRows(name=f"{_stem(start)}-00000.parquet", rows=len(numbers))
        uri = storage.join(output, shard.name)
        if storage.exists(uri):
            made(len(numbers))
        else:
            _write_shard(request, votes, generator, numbers, output, made)
        shards.append(shard)
        rows = read_rows(uri, 0, shard.rows).select(["object_id", "image"]).to_pylist()
        missing = [row for row in rows if f"{row['object_id']}.png" not in there]
        for _ in storage.read_ahead(lambda row: _write_image(output, **row), missing):
            pass
    storage.create(storage.join(output, LABELS), _labels(request, votes, tree))
    survey = Survey(
        name=SYNTHETIC,
        source=request.source,
        criteria=request.model_dump(),
        cutouts=request.count,
        counts={},
        shards=tuple(shards),
    )
    if not create_survey(output, survey):  # the same command, given twice, was quicker elsewhere
        existing(request, output)
    return IngestResult(output, request.count, True, {})


def make_pictures(
    request: Request, votes: NDArray[np.float32], generator: Generator, numbers: range
) -> NDArray[np.uint8]:
    """Pictures of some galaxies of a set, (n, 64, 64, 3).

    The same for the same numbers on the same machine: others in a batch may move the last digit.

    Raises
    ------
    InputError
        If the generator gives no numbers.
    """
    noise = torch.stack([_noise(request.seed, number) for number in numbers])
    asked = torch.from_numpy(votes).expand(len(numbers), -1)
    made = generator.make(asked, noise, request.guidance, request.steps)
    if not made.isfinite().all():
        raise InputError(
            f"weights {request.weights[:12]}… make no picture at guidance {request.guidance:g}: its pixels "
            "aren't finite; lower the guidance, or train the weights anew"
        )
    pictures: NDArray[np.uint8] = to_bytes(made).cpu().numpy()
    return pictures


def _noise(seed: int, number: int) -> Tensor:
    mixed = int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:7])
    return torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(mixed))


def _stem(start: int) -> str:
    return f"cutouts-{start // UNIT:05d}"


def _write_shard(
    request: Request,
    votes: NDArray[np.float32],
    generator: Generator,
    numbers: range,
    output: str,
    made: Callable[[int], None],
) -> None:
    writer = ShardWriter(
        output,
        name=SYNTHETIC,
        source=request.source,
        criteria=request.model_dump(),
        further=FURTHER,
        stem=_stem(numbers.start),
    )
    size = UNIT if generator.device.type == "cuda" else 16
    for start in range(numbers.start, numbers.stop, size):
        batch = range(start, min(start + size, numbers.stop))
        for number, picture in zip(batch, make_pictures(request, votes, generator, batch), strict=True):
            writer.write(
                {
                    "object_id": request.name_of(number),
                    "image": encode_png(picture, texts=request.texts(number)),
                    "frame_pixels": PICTURE_FRAME,
                    "synthetic": True,
                    "weights": request.weights,
                    "seed": request.seed,
                }
            )
        made(len(batch))
    writer.close()


def _write_image(output: str, object_id: str, image: bytes) -> None:
    storage.create(storage.join(output, IMAGES, f"{object_id}.png"), image)


def _labels(request: Request, votes: NDArray[np.float32], tree: DecisionTree) -> bytes:
    """A label table as `train` reads it; what wasn't asked for and doesn't follow is empty."""
    names = [request.name_of(number) for number in range(request.count)]
    told: dict[str, Any] = {
        "object_id": names,
        "image": [f"{IMAGES}/{name}.png" for name in names],
        "frame_pixels": PICTURE_FRAME,
        "synthetic": True,
    }
    fractions = dict(zip(tree.columns, np.round(votes.astype(np.float64), 6).tolist(), strict=True))
    stream = io.StringIO()
    pd.DataFrame(told | fractions).to_csv(stream, index=False)
    return stream.getvalue().encode()


def _as_json(request: Request) -> bytes:
    return (json.dumps(request.model_dump(), indent=1, sort_keys=True) + "\n").encode()


def _refuse_another(request: Request, provenance: str) -> None:
    """Refuse to go on with what another request began."""
    if not storage.exists(provenance):
        return
    before = read_json(Request, provenance, "what a set of made galaxies follows from").model_dump()
    changed = sorted(key for key, value in request.model_dump().items() if value != before[key])
    if changed:
        raise InputError(
            f"{provenance} begins a set of galaxies with another {', '.join(changed)}; choose another output "
            "or remove that folder"
        )
