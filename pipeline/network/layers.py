"""Layers that torch doesn't have: convolution with untied biases, and maxout."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.network.spec import ConvolutionSpec, DenseSpec


class UntiedConvolution(nn.Module):
    """Valid convolution, a bias for every channel *and position*, ReLU, max-pooling.

    Takes (n, channels, size, size) and gives (n, filters, size', size') with
    size' = (size − kernel + 1) // pool (Dieleman, Willett & Dambre 2015, section 7.2). Weights and biases are
    stored channels last, the layout in which CPUs and GPUs convolve fastest.
    """

    def __init__(self, spec: ConvolutionSpec, channels: int, size: int) -> None:
        super().__init__()
        out = size - spec.kernel + 1
        self.pool = spec.pool
        weight = torch.empty(spec.filters, channels, spec.kernel, spec.kernel)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.full((out, out, spec.filters), spec.bias))
        nn.init.normal_(self.weight, std=spec.weight_std)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, size, size) to (n, filters, size', size')."""
        maps = functional.conv2d(x, self.weight).permute(0, 2, 3, 1)
        # As rows of a matrix: the bias's gradient is then a sum over rows, twenty times as fast.
        rows, bias = maps.flatten(1), self.bias.flatten().to(maps.dtype)
        # Pooling first leaves ReLU a quarter of the values; the two commute.
        if torch.is_grad_enabled():
            maps = (rows + bias).view(maps.shape).permute(0, 3, 1, 2)
            return functional.max_pool2d(maps, self.pool).relu_()
        maps = rows.add_(bias).view(maps.shape)
        return _max_pool(maps, self.pool).relu_().permute(0, 3, 1, 2)


@torch.no_grad()
def round_filters(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Round filters (filters, channels, kernel, kernel) so that the errors within each cancel.

    What one tap loses is carried to the next, along rows to and fro (error diffusion): neighbouring taps see
    nearly the same value, for images are smooth. Rounded one by one, the errors of a filter add up.
    """
    there_and_back = weight.float().clone()
    there_and_back[:, :, 1::2] = there_and_back[:, :, 1::2].flip(-1)
    rounded = torch.empty_like(there_and_back, memory_format=torch.contiguous_format)
    taps, results = there_and_back.flatten(1), rounded.flatten(1)
    carry = torch.zeros_like(taps[:, 0])
    for tap in range(taps.shape[1]):
        exact = taps[:, tap] + carry
        results[:, tap] = exact.to(dtype).float()
        carry = exact - results[:, tap]
    rounded[:, :, 1::2] = rounded[:, :, 1::2].flip(-1)
    return rounded.to(dtype)


def _max_pool(maps: Tensor, size: int) -> Tensor:
    """Pool maps (n, y, x, channels) by `size` in rows, then in columns.

    Maxima of slices run along contiguous memory, which takes half the time of torch's own pooling.
    """
    for axis in (1, 2) if size > 1 else ():
        trimmed = maps.narrow(axis, 0, maps.shape[axis] // size * size)
        maps = functools.reduce(torch.maximum, trimmed.unflatten(axis, (-1, size)).unbind(axis + 1))
    return maps


class Dense(nn.Module):
    """A dense (fully connected) layer: dropout on its input, a linear map, and an activation.

    The activation is ReLU, or maxout, which takes the larger of two linear maps for each hidden unit.
    `linear` and `activate` can be used apart, because averaging computes the linear map of the first layer in
    another way.

    Parameters
    ----------
    spec
        How many hidden units the layer has, and the rest that the network's file says of it.
    features
        Length of its input.
    """

    def __init__(self, spec: DenseSpec, features: int) -> None:
        super().__init__()
        self.maxout = spec.activation == "maxout"
        self.rms_cap = spec.rms_cap
        self.dropout = nn.Dropout(spec.dropout)
        self.linear = nn.Linear(features, spec.units * (2 if self.maxout else 1))
        nn.init.normal_(self.linear.weight, std=spec.weight_std)
        nn.init.constant_(self.linear.bias, spec.bias)

    def activate(self, x: Tensor) -> Tensor:
        """Map the linear map's values to activations: ReLU, or the larger of each two neighbours (maxout).

        With maxout (…, 2·units) becomes (…, units).
        """
        return x.unflatten(-1, (-1, 2)).amax(-1) if self.maxout else functional.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, features) to (…, units)."""
        return self.activate(self.linear(self.dropout(x)))


@torch.no_grad()
def lay_channels_last(module: nn.Module) -> None:
    """Store a module's filters in the layout in which CPUs and GPUs convolve fastest."""
    for part in module.parameters():
        if part.dim() == 4:
            part.data = part.data.contiguous(memory_format=torch.channels_last)
