"""The score of networks on galaxies that they never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from pipeline.averaging import average_of, naive_average
from pipeline.evaluation import rmse, rmse_interval
from pipeline.geometry import IDENTITY, averaging_transforms, reach
from pipeline.network import ViewpointNetwork, ViewpointSampler, by_recentring
from pipeline.training.galaxies import Cut, load_galaxies
from pipeline.training.labels import Labels

SCORE_REACH = reach(zoom=min(transform.zoom for transform in averaging_transforms()))
"""How far from a galaxy's centre 60 transforms look, in frame pixels along one axis."""
_SCORED_AT_ONCE = 64


def score(networks: Sequence[ViewpointNetwork], labels: Labels) -> dict[str, object]:
    """The score of networks, of their mean if they are several, on galaxies never trained on.

    Of the votes there are; empty if there are none. The interval is of the score over 60 transforms, for
    galaxies drawn anew.
    """
    tree, votes = networks[0].tree, torch.from_numpy(labels.votes)
    if votes.isnan().all():
        return {}
    answers, single = torch.zeros_like(votes), torch.zeros_like(votes)
    sampler = ViewpointSampler()
    for threshold, alike in by_recentring(networks).items():
        galaxies = load_galaxies(labels, Cut(SCORE_REACH, threshold))
        average = average_of(*alike)
        for rows, regions in galaxies.regions.by_side(_SCORED_AT_ONCE):
            answers[rows] += average.each(regions).sum(0) / len(networks)
            for network in alike:
                single[rows] += naive_average(network, sampler, regions, (IDENTITY,)) / len(networks)
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
