"""Faster R-CNN over the same feature pyramid, by torchvision.

References
----------
Ren et al. 2015, Faster R-CNN, arXiv:1506.01497; Popp et al. 2024, Transfer learning for galaxy feature
detection, RASTI.
"""

from __future__ import annotations

import functools
import itertools
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from pipeline.clumps.detector import FEATURES, SIDE, STEP, Found, Pyramid, peaks_of
from pipeline.errors import InputError
from pipeline.network.operators import prepare_torchvision

_ANCHORS = ((4,), (8,), (16,))
"""Widths of the anchors of each level, in pixels of a picture as the detector sees it."""

_MIDDLE = (SIDE - 1) / 2 + 0.5
"""The galaxy's centre as boxes count: the first pixel reaches from 0 to 1."""


class FasterDetector(Pyramid):
    """Finds clumps as boxes of Faster R-CNN (see `pipeline.clumps.detector.Detector`).

    It can't leave out of account the places of which nobody knows what is there: boxes there are wrong to it.

    Raises
    ------
    InputError
        If torchvision isn't there.
    """

    def __init__(self) -> None:
        super().__init__()
        models = detection_models()
        from torchvision.ops import MultiScaleRoIAlign

        names = [str(level) for level in range(len(_ANCHORS))]
        anchors = models.anchor_utils.AnchorGenerator(_ANCHORS, ((1.0,),) * len(_ANCHORS))
        self.proposals = models.faster_rcnn.RegionProposalNetwork(
            anchors,
            models.faster_rcnn.RPNHead(FEATURES, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.6,
            bg_iou_thresh=0.3,
            batch_size_per_image=128,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 300, "testing": 200},
            post_nms_top_n={"training": 200, "testing": 100},
            nms_thresh=0.7,
        )
        self.heads = models.roi_heads.RoIHeads(
            MultiScaleRoIAlign(names, output_size=5, sampling_ratio=2),
            models.faster_rcnn.TwoMLPHead(FEATURES * 25, 256),
            models.faster_rcnn.FastRCNNPredictor(256, 2),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=64,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=0.05,
            nms_thresh=0.3,
            detections_per_img=64,
        )

    def loss(self, pictures: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """The sum of its four losses; `counts` are left out of account."""
        boxes = boxes_of(targets)
        wanted = [
            {"boxes": one, "labels": torch.ones(len(one), dtype=torch.int64, device=one.device)}
            for one in boxes
        ]
        _, losses = self._boxes(pictures, wanted)
        return torch.stack(list(losses.values())).sum()

    @torch.inference_mode()
    def find(self, pictures: Tensor, least: float) -> list[Found]:
        """See `pipeline.clumps.detector.Detector`."""
        results, _ = self._boxes(pictures.to(self.device), None)
        found = []
        for result in results:
            boxes = result["boxes"].float().cpu().numpy()
            middles = ((boxes[:, :2] + boxes[:, 2:]) / 2 - _MIDDLE) * STEP
            width = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1) * STEP
            scores = result["scores"].float().cpu().numpy().astype(np.float32)
            x, y = middles.astype(np.float32).T
            every = Found(x, y, width.astype(np.float32), scores)
            found.append(every[every.probability >= least])
        return found

    def _boxes(
        self, pictures: Tensor, wanted: list[dict[str, Tensor]] | None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Boxes that are found, and the losses where it is said which are wanted."""
        images = detection_models().image_list.ImageList(pictures, [(SIDE, SIDE)] * len(pictures))
        levels = {str(number): level for number, level in enumerate(self.levels(pictures))}
        proposals, first = self.proposals(images, levels, wanted)
        results, second = self.heads(levels, proposals, images.image_sizes, wanted)
        return results, dict(itertools.chain(first.items(), second.items()))


def boxes_of(targets: Tensor) -> list[Tensor]:
    """The boxes (n, 4) of each galaxy's clumps, from its target maps (see `target_maps`)."""
    sure = targets.clone()
    sure[:, 0] = torch.where(targets[:, 0] == 1, 9.0, -9.0)
    boxes = []
    for one in peaks_of(sure, 0.5):
        middle = np.stack([one.x, one.y], axis=1) / STEP + _MIDDLE
        half = one.width[:, None] / STEP / 2
        corners = np.concatenate([middle - half, middle + half], axis=1)
        boxes.append(torch.from_numpy(corners).to(targets.device))
    return boxes


@functools.cache
def detection_models() -> ModuleType:
    """The module ``torchvision.models.detection``.

    Raises
    ------
    InputError
        If torchvision isn't there.
    """
    if not prepare_torchvision():
        raise InputError(
            "Faster R-CNN needs the package torchvision: pip install 'tuningfork[detection]', or use a "
            "detector of kind centres"
        )
    return import_module("torchvision.models.detection")
