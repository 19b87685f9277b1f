"""What a network is made of, as data: one YAML file a network under ``configs/networks``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pipeline.config import StrictModel, load_config
from pipeline.geometry import PATCH_PIXELS, VIEWPOINTS


class ConvolutionSpec(StrictModel):
    """A valid, stride-1 convolution with untied biases, ReLU and max-pooling.

    Attributes
    ----------
    filters
        Number of filters, which is the number of output channels.
    kernel
        Width of the filters in pixels.
    pool
        Width of the max-pooling window; 1 for no pooling.
    weight_std, bias
        Standard deviation of the normal initial weights, and the initial bias.
    """

    filters: int = Field(gt=0)
    kernel: int = Field(gt=0)
    pool: int = Field(default=1, gt=0)
    weight_std: float = Field(default=0.01, gt=0)
    bias: float = 0.1


class DenseSpec(StrictModel):
    """A dense layer with dropout on its input.

    Attributes
    ----------
    units
        Number of hidden units, which is the number of outputs, after maxout.
    activation
        ``maxout``: a hidden unit is the larger of two linear maps. ``relu``: it is one linear map, or 0 where
        that is negative.
    dropout
        Fraction of the inputs that training leaves out at random.
    weight_std, bias
        Standard deviation of the normal initial weights, and the initial bias.
    rms_cap
        Largest root mean square of a hidden unit's weights; from time to time, training scales larger ones
        down to it.
    """

    units: int = Field(gt=0)
    activation: Literal["maxout", "relu"] = "maxout"
    dropout: float = Field(default=0.5, ge=0, lt=1)
    weight_std: float = Field(default=0.001, gt=0)
    bias: float = 0.01
    rms_cap: float | None = Field(default=None, gt=0)


class OutputSpec(StrictModel):
    """The last dense layer, which has one output for each answer.

    Attributes
    ----------
    dropout
        Fraction of the inputs that training leaves out at random.
    weight_std, bias
        Standard deviation of the normal initial weights, and the initial bias.
    """

    dropout: float = Field(default=0.5, ge=0, lt=1)
    weight_std: float = Field(default=0.01, gt=0)
    bias: float = 0.1


class Recentring(StrictModel):
    """The network sees each galaxy shifted and zoomed to what is measured of it (see `images.recentre`).

    Attributes
    ----------
    threshold
        Detection threshold, in standard deviations of the background.
    """

    threshold: float = Field(gt=0)


class NetworkSpec(StrictModel):
    """A viewpoint network: convolutions on each viewpoint, dense layers on all sixteen together.

    Attributes
    ----------
    name
        Name of the network; weight files are named after it.
    convolutions
        The convolutional layers applied to each viewpoint, first to last.
    dense
        The dense layers applied to all viewpoints together, first to last.
    output
        The output layer.
    recentring
        How galaxies are centred and scaled first; by default they are left as they are in their frames.
    viewpoint_dense
        A dense layer applied to each viewpoint's features separately, with the same weights for all.
    """

    name: str
    recentring: Recentring | None = None
    convolutions: tuple[ConvolutionSpec, ...] = Field(min_length=1)
    viewpoint_dense: DenseSpec | None = None
    dense: tuple[DenseSpec, ...] = Field(min_length=1)
    output: OutputSpec = OutputSpec()

    @model_validator(mode="after")
    def _check_sizes(self) -> NetworkSpec:
        sizes = self.map_sizes()
        if sizes[-1] < 1:
            raise ValueError(f"the convolutions shrink a {PATCH_PIXELS}-pixel viewpoint to nothing")
        return self

    def map_sizes(self) -> list[int]:
        """Width of the feature map after each convolution and its pooling, in pixels."""
        sizes, size = [], PATCH_PIXELS
        for layer in self.convolutions:
            size = (size - layer.kernel + 1) // layer.pool
            sizes.append(size)
        return sizes

    @property
    def convolution_multiply_adds(self) -> list[int]:
        """Multiply-adds of each convolution on one viewpoint."""
        counts, channels, size = [], 3, PATCH_PIXELS
        for layer, next_size in zip(self.convolutions, self.map_sizes(), strict=True):
            counts.append((size - layer.kernel + 1) ** 2 * layer.filters * channels * layer.kernel**2)
            channels, size = layer.filters, next_size
        return counts

    @property
    def viewpoint_multiply_adds(self) -> int:
        """Multiply-adds of all that is done to one viewpoint by itself."""
        shared = self.viewpoint_dense
        width = 0 if shared is None else shared.units * (2 if shared.activation == "maxout" else 1)
        return sum(self.convolution_multiply_adds) + self.convolution_features * width

    def dense_multiply_adds(self, answers: int) -> list[int]:
        """Multiply-adds of each dense layer on one galaxy, the last one's included."""
        counts, features = [], self.features
        for layer in self.dense:
            counts.append(features * layer.units * (2 if layer.activation == "maxout" else 1))
            features = layer.units
        return [*counts, features * answers]

    @property
    def convolution_features(self) -> int:
        """Features that the convolutions give for one viewpoint."""
        return self.convolutions[-1].filters * self.map_sizes()[-1] ** 2

    @property
    def viewpoint_features(self) -> int:
        """Features of one viewpoint that the dense layers get."""
        return self.convolution_features if self.viewpoint_dense is None else self.viewpoint_dense.units

    @property
    def features(self) -> int:
        """Features of all viewpoints together."""
        return VIEWPOINTS * self.viewpoint_features


def load_network_spec(path: str | Path) -> NetworkSpec:
    """Read a network's specification.

    Raises
    ------
    InputError
        If the file can't be read or a value doesn't fit.
    """
    return load_config(NetworkSpec, path)
