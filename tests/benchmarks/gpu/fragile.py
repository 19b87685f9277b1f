"""Answers that any rounding moves: those of questions whose raw values all but vanish."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.geometry import averaging_transforms
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler

_NEAR_ZERO = 0.005
"""Raw values, which are about 1, of which float16's rounding leaves nothing certain."""


@torch.inference_mode()
def fragile_answers(network: ViewpointNetwork, regions: RegionBatch) -> Tensor:
    """Which answers hang on a question whose largest raw value is near 0 under some transform.

    The output layer divides by a question's sum of positive raw values, so that its answers jump there, and
    with them those of the questions that follow.

    Returns
    -------
    Tensor, shape (n, answers), bool
    """
    tree, sampler = network.tree, ViewpointSampler().to(network.device)
    near = torch.zeros(len(regions), len(tree.questions), dtype=torch.bool, device=network.device)
    for transform in averaging_transforms():
        raw = network.raw(network.viewpoint_features(sampler(regions, [transform])[:, 0]))
        for number, question in enumerate(tree.questions):
            near[:, number] |= raw[:, tree.slices[question.key]].amax(1).abs() < _NEAR_ZERO
    fragile = torch.zeros(len(regions), tree.answer_count, dtype=torch.bool, device=network.device)
    followers = {question.key: {answer.next for answer in question.answers} for question in tree.questions}
    for number, question in enumerate(tree.questions):
        reached, new = set(), {question.key}
        while new:
            reached |= new
            new = {key for start in new for key in followers[start] if key is not None} - reached
        for key in reached:
            fragile[:, tree.slices[key]] |= near[:, number, None]
    return fragile
