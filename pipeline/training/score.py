"""The score of networks on galaxies that they never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline.averaging import average_of, naive_average
from pipeline.evaluation import rmse, rmse_interval
from pipeline.geometry import IDENTITY, averaging_transforms, reach
from pipeline.network import ViewpointNetwork, ViewpointSampler, by_recentring
from pipeline.training.galaxies import Cut, load_galaxies
from pipeline.training.labels import Labels
from pipeline.tree import DecisionTree

SCORE_REACH = reach(zoom=min(transform.zoom for transform in averaging_transforms()))
"""How far from a galaxy's centre 60 transforms look, in frame pixels along one axis."""
_SCORED_AT_ONCE = 64


def answers_for(networks: Sequence[ViewpointNetwork], labels: Labels) -> tuple[Tensor, Tensor]:
    """Mean answers of networks for labelled galaxies, over 60 transforms and of the view as it is.

    Returns
    -------
    tuple of two Tensors, shape (n, answers), float32
    """
    shape = len(labels), networks[0].tree.answer_count
    answers, single = torch.zeros(shape), torch.zeros(shape)
    sampler = ViewpointSampler()
    for threshold, alike in by_recentring(networks).items():
        galaxies = load_galaxies(labels, Cut(SCORE_REACH, threshold))
        average = average_of(*alike)
        for rows, regions in galaxies.regions.by_side(_SCORED_AT_ONCE):
            answers[rows] += average.each(regions).sum(0) / len(networks)
            for network in alike:
                single[rows] += naive_average(network, sampler, regions, (IDENTITY,)) / len(networks)
    return answers, single


def score(networks: Sequence[ViewpointNetwork], labels: Labels) -> dict[str, object]:
    """The score of networks, of their mean if they are several (see `score_of`)."""
    return score_of(networks[0].tree, *answers_for(networks, labels), labels)


def score_of(tree: DecisionTree, answers: Tensor, single: Tensor, labels: Labels) -> dict[str, object]:
    """The score of answers (see `answers_for`) for galaxies never trained on.

    Of the votes there are; empty if there are none. The interval is of the score over 60 transforms, for
    galaxies drawn anew.
    """
    votes = torch.from_numpy(labels.votes)
    if votes.isnan().all():
        return {}
    low, high = rmse_interval(answers, votes)
    return {
        "rmse_60_transforms": round(rmse(answers, votes), 4),
        "rmse_60_transforms_95_percent": [round(low, 4), round(high, 4)],
        "rmse_single": round(rmse(single, votes), 4),
        "rmse_of_mean_votes": round(rmse(votes.nanmean(dim=0, keepdim=True).expand_as(votes), votes), 4),
        "rmse_by_question": {
            key: round(rmse(answers[:, where], votes[:, where]), 4)
            for key, where in tree.slices.items()
            if not votes[:, where].isnan().all()
        },
        "held_out_galaxies": list(labels.ids),
    }


def score_in_words(scores: Mapping[str, object]) -> str:
    """A score in words."""
    if not scores:
        return "no galaxies were held out, so there is no score"
    interval = scores["rmse_60_transforms_95_percent"]
    return (
        f"RMSE {scores['rmse_60_transforms']} (95 %: {interval}) with 60 transforms on the held-out "
        f"galaxies, {scores['rmse_single']} with single views"
    )
