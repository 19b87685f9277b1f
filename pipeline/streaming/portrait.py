"""The stage that looks at chosen galaxies: their pictures, activations of all layers, occlusion maps."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.averaging import Precision
from pipeline.geometry import IDENTITY, reach
from pipeline.network import RegionBatch, layer_activations
from pipeline.streaming.excitation import LoadedNetwork
from pipeline.streaming.regions import good_rows, regions_of

PORTRAIT_REACH = reach()
"""What a picture shows around the galaxy's centre, in frame pixels: all that the network sees of it."""

_PICTURE_SIDE = 144
PATCH, _STRIDE = 36.0, 18.0
"""Width of what is covered, and the way to the next, in frame pixels: an eighth of a picture, a sixteenth."""

_PLACES = 15
_COVERED_AT_ONCE = 75


class PortraitActor:
    """Ray Data stage: `DECODED_SCHEMA` → one row a good galaxy.

    ``object_id, shard, row``; ``picture``, raw RGB of 144 × 144 that shows `PORTRAIT_REACH`;
    ``probabilities``; ``drop``, the occlusion map of 15 × 15 as a list, and ``answer``, that it is of;
    ``layers`` of the galaxy whose activations are wanted, each with name, shape and values, the first being
    the viewpoint itself.

    Parameters
    ----------
    weights, tree, precision, threads, device
        As `ExcitationActor` takes them.
    occlude
        Ids of the galaxies of which an occlusion map is made.
    galaxy, viewpoint
        Whose activations are wanted, and from which viewpoint.
    """

    def __init__(
        self,
        weights: str,
        tree: str,
        precision: Precision,
        threads: int,
        occlude: Collection[str],
        galaxy: str,
        viewpoint: int,
        device: str | None = None,
    ) -> None:
        self._loaded = LoadedNetwork(weights, tree, precision, threads, device)
        self._occlude, self._galaxy, self._viewpoint = frozenset(occlude), galaxy, viewpoint

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Portray the good galaxies of one unit."""
        made = [
            self._portrait(batch, int(row), regions_of(batch, rows[i : i + 1], side, self._loaded.recentring))
            for rows, side in good_rows(batch)
            for i, row in enumerate(rows)
        ]
        return pa.Table.from_pylist(made, schema=PORTRAIT_SCHEMA)

    def _portrait(self, batch: pa.Table, row: int, region: RegionBatch) -> dict[str, Any]:
        name = batch["object_id"][row].as_py()
        probabilities = self._loaded.look(region)[1][0]
        first = self._loaded.network.tree.slices[self._loaded.network.tree.questions[0].key]
        answer = first.start + int(np.argmax(probabilities[first]))
        drop = None
        if name in self._occlude:
            covered = np.concatenate(
                [self._loaded.look(part)[1][:, answer] for part in covered_regions(region)]
            )
            drop = (probabilities[answer] - covered).tolist()
        return {
            "object_id": name,
            "shard": batch["shard"][row].as_py(),
            "row": batch["row"][row].as_py(),
            "picture": picture_of(region).tobytes(),
            "probabilities": probabilities,
            "answer": answer,
            "drop": drop,
            "layers": self._layers(region) if name == self._galaxy else None,
        }

    def _layers(self, region: RegionBatch) -> list[dict[str, Any]]:
        viewpoints = self._loaded.sampler(region.to(self._loaded.device), [IDENTITY])[:, 0]
        activations = {"viewpoint": viewpoints} | layer_activations(self._loaded.network, viewpoints)
        layers = []
        for name, values in activations.items():
            activation = values[0].float().cpu()
            seen = (
                activation if name.startswith("dense") or name == "answers" else activation[self._viewpoint]
            )
            layers.append({"name": name, "shape": list(seen.shape), "values": seen.flatten().tolist()})
        return layers


PORTRAIT_SCHEMA = pa.schema(
    [
        ("object_id", pa.string()),
        ("shard", pa.string()),
        ("row", pa.int64()),
        ("picture", pa.binary()),
        ("probabilities", pa.list_(pa.float32())),
        ("answer", pa.int64()),
        ("drop", pa.list_(pa.float32())),
        (
            "layers",
            pa.list_(
                pa.struct(
                    [
                        ("name", pa.string()),
                        ("shape", pa.list_(pa.int64())),
                        ("values", pa.list_(pa.float32())),
                    ]
                )
            ),
        ),
    ]
)


def picture_of(region: RegionBatch, side: int = _PICTURE_SIDE) -> NDArray[np.uint8]:
    """What the network sees of the first galaxy, (side, side, 3): of its frame, `PORTRAIT_REACH` each way."""
    steps = (torch.arange(2 * side, dtype=torch.float64) + 0.5) / side - 1.0  # twice as fine, then averaged
    offsets = region.scale[0].cpu() * PORTRAIT_REACH * steps
    width = region.pixels.shape[1]
    x, y = ((region.center[0, i].cpu() + offsets) * 2.0 / (width - 1) - 1.0 for i in (0, 1))
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None].float()
    image = region.pixels[:1].cpu().permute(0, 3, 1, 2).float()
    seen = functional.grid_sample(image, grid, padding_mode="reflection", align_corners=True)
    small = functional.avg_pool2d(seen, 2)[0].permute(1, 2, 0)
    return small.round().clamp(0, 255).to(torch.uint8).numpy()


def covered_regions(region: RegionBatch) -> list[RegionBatch]:
    """One galaxy with a square of its frame covered by the background, at each of 15 × 15 places.

    The places lie `_STRIDE` apart, row by row, the middle one on the galaxy's centre. The background is the
    median colour along the region's border.
    """
    pixels = region.pixels[0]
    edge = torch.cat([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    background = edge.median(dim=0).values
    scale, middle = float(region.scale[0]), region.center[0].tolist()
    steps = (np.arange(_PLACES) - (_PLACES - 1) / 2) * _STRIDE
    places = [(middle[0] + scale * x, middle[1] + scale * y) for y in steps for x in steps]
    parts = []
    for start in range(0, len(places), _COVERED_AT_ONCE):
        centers = places[start : start + _COVERED_AT_ONCE]
        copies = pixels.repeat(len(centers), 1, 1, 1)
        for copy, place in zip(copies, centers, strict=True):
            _cover(copy, place, scale * PATCH / 2, background)
        count = len(centers)
        parts.append(RegionBatch(copies, region.center.repeat(count, 1), region.scale.repeat(count)))
    return parts


def _cover(pixels: Tensor, place: tuple[float, float], half: float, color: Tensor) -> None:
    left, top = (max(0, round(middle - half)) for middle in place)
    right, bottom = (max(0, round(middle + half)) for middle in place)
    pixels[top:bottom, left:right] = color
