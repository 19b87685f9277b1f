"""What is inside a network: the activations of each layer, and the first filters as pictures."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pipeline.network.layers import UntiedConvolution
from pipeline.network.viewpoint_network import ViewpointNetwork


@torch.no_grad()
def layer_activations(network: ViewpointNetwork, viewpoints: Tensor) -> dict[str, Tensor]:
    """What each layer gives, as the network itself is run.

    Parameters
    ----------
    network
        In evaluation mode.
    viewpoints : Tensor, shape (n, 16, 3, 45, 45)
        In [0, 1].

    Returns
    -------
    dict
        By name, from first to last: ``convolution_1`` … (n, 16, filters, size, size) after ReLU and pooling;
        ``viewpoint_dense`` (n, 16, hidden units) if there is one; ``dense_1`` … (n, hidden units), the last
        of which is the last hidden layer; and ``answers`` (n, answers), the probabilities.
    """
    seen: dict[str, list[Tensor]] = {}
    layers: dict[str, nn.Module] = {
        f"convolution_{number}": layer for number, layer in enumerate(network.convolutions, 1)
    }
    if network.viewpoint_dense is not None:
        layers["viewpoint_dense"] = network.viewpoint_dense
    layers |= {f"dense_{number}": layer for number, layer in enumerate(network.dense_layers, 1)}
    hooks = [
        layer.register_forward_hook(lambda _, __, output, name=name: seen.setdefault(name, []).append(output))
        for name, layer in layers.items()
    ]
    try:
        answers = network(viewpoints)
    finally:
        for hook in hooks:
            hook.remove()
    activations = {name: torch.cat(seen[name]) for name in layers}  # convolutions run a piece at a time
    by_viewpoint = {
        name: maps.unflatten(0, viewpoints.shape[:2]) if len(maps) != len(viewpoints) else maps
        for name, maps in activations.items()
    }
    return by_viewpoint | {"answers": answers}


def contrast_normalised(network: ViewpointNetwork) -> Tensor:
    """The first layer's filters as pictures, each stretched to [0, 1] by itself.

    Returns
    -------
    Tensor, shape (filters, kernel, kernel, 3), float32
        Grey (0.5) where a filter is flat.

    References
    ----------
    Dieleman, Willett & Dambre 2015, Figure 10.
    """
    weight = cast(UntiedConvolution, network.convolutions[0]).weight.detach().float().cpu()
    least, most = weight.amin((1, 2, 3), keepdim=True), weight.amax((1, 2, 3), keepdim=True)
    width = most - least
    stretched = torch.where(
        width > 0, (weight - least) / width.clamp(min=1e-30), torch.full_like(weight, 0.5)
    )
    return stretched.permute(0, 2, 3, 1).contiguous()
