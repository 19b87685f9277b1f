"""torchvision's operators, also beside builds of torch for which its compiled ones don't load."""

from __future__ import annotations

import functools
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

_NEEDED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",  # named at import, never called
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)


def prepare_torchvision() -> bool:
    """Make torchvision importable, beside any build of torch; False if it isn't installed.

    Where torchvision's own operators don't load, `nms` and `roi_align` stand for two of them.
    """
    place = find_spec("torchvision")
    if place is None or place.origin is None:
        return False
    if not _loads(Path(place.origin).parent):
        _register()
    return True


@functools.cache
def _loads(folder: Path) -> bool:
    """Whether the compiled operators in torchvision's folder are made for this torch."""
    for library in folder.glob("_C*"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return True
    return False


@functools.cache
def _register() -> torch.library.Library:
    """Give torch the operators by which torchvision calls, and tell torchvision that it has them."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _NEEDED:
        library.define(schema)
    library.impl("nms", nms, "CompositeExplicitAutograd")
    library.impl("roi_align", roi_align, "CompositeImplicitAutograd")
    import_module("torchvision.ops")
    for module in ("torchvision.extension", "torchvision.ops.roi_align"):
        vars(sys.modules[module])["_has_ops"] = lambda: True
    return library


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that are kept, the best score first: none overlaps a better one by more.

    Parameters
    ----------
    dets : Tensor, shape (n, 4)
        Boxes, (x1, y1, x2, y2).
    scores : Tensor, shape (n,)
    iou_threshold
        Most intersection over union of two boxes.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    boxes = dets[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for place in range(len(boxes)):
        if kept[place]:
            low = torch.maximum(boxes[place, :2], boxes[place + 1 :, :2])
            high = torch.minimum(boxes[place, 2:], boxes[place + 1 :, 2:])
            shared = (high - low).clamp(min=0).prod(dim=1)
            kept[place + 1 :] &= shared <= iou_threshold * (areas[place] + areas[place + 1 :] - shared)
    return order[kept]


def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Means of bilinear samples in the cells of regions (He et al. 2017, Mask R-CNN, section 3).

    Parameters
    ----------
    input : Tensor, shape (n, channels, height, width)
    rois : Tensor, shape (k, 5)
        Number of the map, x1, y1, x2, y2.
    spatial_scale
        What the regions' coordinates are multiplied by.
    sampling_ratio
        Samples of a cell along each axis; at least 1.
    aligned
        Whether pixels' middles lie at half coordinates.

    Returns
    -------
    Tensor, shape (k, channels, pooled_height, pooled_width)

    Raises
    ------
    ValueError
        If `sampling_ratio` is below 1: that many samples, by the size of each region, aren't taken here.
    """
    if sampling_ratio < 1:
        raise ValueError(f"sampling_ratio is {sampling_ratio}; expected at least 1")
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    sizes = corners[:, 2:] - corners[:, :2]
    if not aligned:
        sizes = sizes.clamp(min=1.0)

    def samples(axis: int, cells: int) -> Tensor:
        count = cells * sampling_ratio
        steps = (torch.arange(count, device=rois.device, dtype=rois.dtype) + 0.5) / count
        return corners[:, axis, None] + sizes[:, axis, None] * steps

    x, y = samples(0, pooled_width), samples(1, pooled_height)
    rows, columns = _weights(y, input.shape[2]), _weights(x, input.shape[3])
    chosen = input[rois[:, 0].long()]
    seen = torch.einsum("khr,kcrs,kws->kchw", rows, chosen, columns)
    return torch.nn.functional.avg_pool2d(seen, sampling_ratio)


def _weights(places: Tensor, size: int) -> Tensor:
    """Share of each of `size` pixels in the linear samples at places (k, n): (k, n, size).

    Nothing is seen a pixel and more beyond the outermost ones, and these before.
    """
    inside = (places >= -1) & (places <= size)
    at = places.clamp(0, size - 1)
    pixels = torch.arange(size, device=places.device, dtype=places.dtype)
    shares = (1 - (at[..., None] - pixels).abs()).clamp(min=0)
    return shares * inside[..., None]
