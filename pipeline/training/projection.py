"""The projection from a network's hidden layer to embeddings, learnt from galaxies that it was trained on."""

from __future__ import annotations

import numpy as np

from pipeline.averaging import average_of
from pipeline.console import progress, say
from pipeline.network import ViewpointNetwork, read_card
from pipeline.representations import Projection, fit_projection, projection_uri, write_projection
from pipeline.training.galaxies import Cut, load_galaxies
from pipeline.training.labels import Labels
from pipeline.training.score import SCORE_REACH

FEWEST_GALAXIES = 200
"""From which a projection can be learnt."""

MOST_GALAXIES = 3000
"""More than these change no direction that matters; each is seen under sixty transforms."""

_AT_ONCE = 64


def learn_projection(
    network: ViewpointNetwork, weights_sha256: str, galaxies: Labels, most: int = MOST_GALAXIES
) -> Projection:
    """Learn how galaxies differ in a network's last hidden layer.

    Parameters
    ----------
    weights_sha256
        Of the network's weight file.
    galaxies
        Of the kind that the network knows; their votes don't matter.
    most
        About how many galaxies are looked at; of more, every so manyth.
    """
    step = max(1, round(len(galaxies) / most))
    some = galaxies[slice(None, None, step)]
    recentring = network.spec.recentring
    cut = Cut(SCORE_REACH, None if recentring is None else recentring.threshold)
    average = average_of(network)
    hidden = np.empty((len(some), network.last.in_features), np.float32)
    with progress("Learning the embedding", len(some)) as advance:
        for rows, regions in load_galaxies(some, cut).regions.by_side(_AT_ONCE):
            hidden[rows.numpy()] = average.with_hidden(regions)[1].numpy()
            advance(len(rows))
    return fit_projection(hidden, weights_sha256)


def keep_projection(weights: str, network: ViewpointNetwork, galaxies: Labels) -> None:
    """Write beside weights how their hidden layer becomes embeddings, if there are enough galaxies."""
    if len(galaxies) < FEWEST_GALAXIES:
        return
    projection = learn_projection(network, read_card(weights).sha256, galaxies)
    write_projection(weights, projection)
    say(
        f"Embeddings: {projection_uri(weights)}, {projection.about.explained_variance:.1%} of the variance "
        f"of {projection.about.galaxies:,} galaxies"
    )
