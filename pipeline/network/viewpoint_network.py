"""The viewpoint network of Dieleman, Willett & Dambre 2015."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.geometry import PATCH_PIXELS, VIEWPOINTS
from pipeline.network.layers import Dense, UntiedConvolution, round_filters
from pipeline.network.output import TreeOutput
from pipeline.network.spec import NetworkSpec
from pipeline.tree import DecisionTree

_VIEWPOINTS_IN_CACHE = 32
"""Viewpoints whose largest feature maps stay in a CPU's last-level cache together."""


class ViewpointNetwork(nn.Module):
    """The same convolutions on sixteen viewpoints, then dense layers on all their features.

    Its parts are open, because test-time averaging shares the convolutions between transforms:
    `viewpoint_features`, then `raw`, then `output`.

    Parameters
    ----------
    spec
        The layers.
    tree
        The decision tree that the output obeys.
    """

    def __init__(self, spec: NetworkSpec, tree: DecisionTree) -> None:
        super().__init__()
        self.spec = spec
        self.tree = tree
        channels, size = 3, PATCH_PIXELS
        convolutions = []
        for layer, next_size in zip(spec.convolutions, spec.map_sizes(), strict=True):
            convolutions.append(UntiedConvolution(layer, channels, size))
            channels, size = layer.filters, next_size
        self.convolutions = nn.Sequential(*convolutions)
        shared = spec.viewpoint_dense
        self.viewpoint_dense = None if shared is None else Dense(shared, spec.convolution_features)
        features = spec.features
        dense = []
        for dense_layer in spec.dense:
            dense.append(Dense(dense_layer, features))
            features = dense_layer.units
        self.dense = nn.ModuleList(dense)
        self.last_dropout = nn.Dropout(spec.output.dropout)
        self.last = nn.Linear(features, tree.answer_count)
        nn.init.normal_(self.last.weight, std=spec.output.weight_std)
        nn.init.constant_(self.last.bias, spec.output.bias)
        self.output = TreeOutput(tree)

    @property
    def dtype(self) -> torch.dtype:
        """The data type that all layers but the last compute in."""
        return cast(UntiedConvolution, self.convolutions[0]).weight.dtype

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return self.last.weight.device

    def lowered(self, dtype: torch.dtype) -> ViewpointNetwork:
        """A copy that computes in a shorter data type, but for the last layer.

        Its answers stay twice as near as with every weight rounded by itself: see `round_filters`.
        """
        network = copy.deepcopy(self).to(dtype)
        network.last = copy.deepcopy(self.last)
        with torch.no_grad():
            for short, own in zip(network.convolutions, self.convolutions, strict=True):
                rounded = round_filters(cast(UntiedConvolution, own).weight, dtype)
                cast(UntiedConvolution, short).weight.copy_(rounded)
        return network

    @property
    def dense_layers(self) -> list[Dense]:
        """The dense layers before the last."""
        return [cast(Dense, layer) for layer in self.dense]

    def viewpoint_features(self, viewpoints: Tensor) -> Tensor:
        """Map viewpoints (…, 16, 3, 45, 45) to their features (…, 16, features), in the network's dtype."""
        flat = viewpoints.flatten(0, -4).to(self.dtype)
        in_cache = flat.device.type == "cpu" and not torch.is_grad_enabled()
        pieces = flat.split(_VIEWPOINTS_IN_CACHE) if in_cache else (flat,)
        maps: Tensor = torch.cat([self.convolutions(piece).flatten(1) for piece in pieces])
        if self.viewpoint_dense is not None:
            maps = self.viewpoint_dense(maps)
        features: Tensor = maps.unflatten(0, viewpoints.shape[:-3])
        return features

    @torch.no_grad()
    def cap_norms(self) -> None:
        """Scale down the weights of hidden units whose root mean square passes their layer's `rms_cap`."""
        for layer in self.dense_layers:
            if layer.rms_cap is not None:
                rms = layer.linear.weight.square().mean(dim=1, keepdim=True).sqrt()
                layer.linear.weight.mul_((layer.rms_cap / rms).clamp(max=1.0))

    def raw(self, features: Tensor) -> Tensor:
        """Map features of all viewpoints (…, 16, features) to raw answers (…, answers)."""
        x = features.flatten(-2)
        return self.raw_after(x, self.dense_layers)

    def raw_of_some(self, features: Tensor, which: Tensor) -> Tensor:
        """Map features of some viewpoints of each example to raw answers, as if dropout had taken the others.

        The first dense layer's own dropout takes what is still missing to its share, if anything.

        Parameters
        ----------
        features : Tensor, shape (n, v, features)
        which : Tensor, shape (n, v), int64
            Their viewpoints' numbers, 0 to 15.

        Returns
        -------
        Tensor, shape (n, answers)
        """
        first, *others = self.dense_layers
        share = which.shape[1] / VIEWPOINTS
        missing = max(0.0, 1 - (1 - first.dropout.p) / share) if self.training else 0.0
        rows = torch.arange(len(which), device=which.device)[:, None].expand_as(which)
        shown = functional.dropout(features, missing) / share
        every = features.new_zeros(len(which), VIEWPOINTS, features.shape[-1]).index_put((rows, which), shown)
        return self.raw_after(first.activate(first.linear(every.flatten(-2))), others)

    def raw_after(self, x: Tensor, remaining: Sequence[Dense]) -> Tensor:
        """Run the remaining dense layers and the last one: from the input of the first to raw answers.

        Averaging computes the first dense layer in its own way, and goes on from there.

        Parameters
        ----------
        x : Tensor, shape (…, features)
            Input of the first of the remaining layers, or the last hidden layer's values if none remains.
        remaining
            The dense layers that are still to be run, in order; not the last one, which gives the answers.

        Returns
        -------
        Tensor, shape (…, answers)
            Raw answers, which the output layer makes probabilities.
        """
        return self.raw_of_hidden(self.hidden_after(x, remaining))

    def hidden(self, features: Tensor) -> Tensor:
        """Map features of all viewpoints (…, 16, features) to the last hidden layer (…, units)."""
        return self.hidden_after(features.flatten(-2), self.dense_layers)

    def hidden_after(self, x: Tensor, remaining: Sequence[Dense]) -> Tensor:
        """Run the remaining dense layers: from the input of the first to the activations of the last.

        Parameters
        ----------
        x : Tensor, shape (…, features)
            Input of the first of the remaining layers; it is returned as it is if none remains.
        remaining
            The dense layers that are still to be run, in order.
        """
        for layer in remaining:
            x = layer(x)
        return x

    def raw_of_hidden(self, hidden: Tensor) -> Tensor:
        """Map the last hidden layer (…, units) to raw answers (…, answers)."""
        raw: Tensor = self.last(self.last_dropout(hidden).to(self.last.weight.dtype))
        return raw

    def forward(self, viewpoints: Tensor) -> Tensor:
        """Map viewpoints (…, 16, 3, 45, 45) to answer probabilities (…, answers), float32."""
        probabilities: Tensor = self.output(self.raw(self.viewpoint_features(viewpoints)))
        return probabilities
