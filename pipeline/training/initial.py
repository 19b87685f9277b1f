"""The weights that a network starts from."""

from __future__ import annotations

import torch

from pipeline.errors import InputError
from pipeline.network import NetworkSpec, ViewpointNetwork, read_weights
from pipeline.tree import DecisionTree


def initial_network(
    spec: NetworkSpec, tree: DecisionTree, seed: int, weights: str | None = None
) -> ViewpointNetwork:
    """A network with random weights, or with those of a weight file.

    Of a file, answers of the same name keep their units of the last layer; all others start anew.

    Parameters
    ----------
    weights
        URI of a weight file of the same layers; its tree may be another.

    Raises
    ------
    InputError
        If the file can't be used, or has other layers.
    """
    torch.manual_seed(seed)
    network = ViewpointNetwork(spec, tree)
    if weights is None:
        return network
    tensors, card = read_weights(weights)
    own = network.state_dict()
    trunk = {name: value for name, value in tensors.items() if not name.startswith("last.")}
    differing = [
        name
        for name, value in own.items()
        if not name.startswith("last.") and (name not in trunk or trunk[name].shape != value.shape)
    ]
    if differing or len(trunk) != len(own) - 2:
        raise InputError(
            f"{weights} holds network {card.network.name!r}, whose layers differ from those of {spec.name!r}"
            f"{f' in {differing[0]}' if differing else ''}; name the network that it was trained as"
        )
    own.update({name: value.float() for name, value in trunk.items()})
    for row, column in enumerate(tree.columns):
        if column in card.columns:
            for name in ("last.weight", "last.bias"):
                own[name][row] = tensors[name][card.columns.index(column)].float()
    network.load_state_dict(own)
    return network
