"""How a network is trained, as data: one YAML file a recipe under ``configs/recipes``."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config import StrictModel
from pipeline.geometry import VIEWPOINTS
from pipeline.network import NetworkSpec
from pipeline.training.augmentation import Augmentation
from pipeline.training.precision import Precision


class Steps(StrictModel):
    """A learning rate that falls in steps.

    Attributes
    ----------
    rates
        Pairs of a number of examples and the learning rate from there on; the first pair starts at 0.
    """

    kind: Literal["steps"] = "steps"
    rates: tuple[tuple[int, float], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_order(self) -> Steps:
        starts = [start for start, _ in self.rates]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(f"rates start at {starts} examples; expected 0 and then ever more")
        return self

    def at(self, seen: int, examples: int) -> float:
        """The learning rate once `seen` of all `examples` have been shown."""
        return next(rate for start, rate in reversed(self.rates) if start <= seen)


class OneCycle(StrictModel):
    """Half a cosine up from `highest`/25 to `highest`, and half a cosine down to next to nothing.

    Attributes
    ----------
    highest
        The highest learning rate.
    warm_up
        Fraction of the examples during which the rate rises.

    References
    ----------
    Smith & Topin 2018, arXiv:1708.07120; without `warm_up`, Loshchilov & Hutter 2017, arXiv:1608.03983.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    highest: float = Field(gt=0)
    warm_up: float = Field(default=0.3, ge=0, lt=1)

    def at(self, seen: int, examples: int) -> float:
        """The learning rate once `seen` of all `examples` have been shown."""
        share = min(seen / examples, 1.0)
        if share < self.warm_up:
            low, done = self.highest / 25, share / self.warm_up
            return low + (self.highest - low) * (1 - math.cos(math.pi * done)) / 2
        done = (share - self.warm_up) / (1 - self.warm_up)
        return self.highest * max((1 + math.cos(math.pi * done)) / 2, 1e-6)


class Nesterov(StrictModel):
    """Gradient descent with Nesterov's momentum: v ← μv − ηg, w ← w + μv − ηg.

    Attributes
    ----------
    momentum
        μ above.
    """

    kind: Literal["nesterov"] = "nesterov"
    momentum: float = Field(default=0.9, ge=0, lt=1)


class AdamW(StrictModel):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Attributes
    ----------
    weight_decay
        By how much weights shrink in a step, in units of the learning rate.
    betas
        Decay per step of the moving averages of the gradient and of its square.
    """

    kind: Literal["adamw"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)


class Recipe(StrictModel):
    """All that decides what training makes of a network and its galaxies.

    Attributes
    ----------
    name
        Name of the recipe, which is noted on the card of the weights.
    seed
        Seed for everything random: initial weights, the order of galaxies, augmentation, dropout.
    optimizer
        How a training step follows from the gradient.
    schedule
        How the learning rate changes from the first example to the last.
    augmentation
        How views are perturbed at random.
    examples
        How many examples are shown in all, in whole batches; training may end in the middle of a pass over
        the galaxies.
    batch_size
        Examples per step, over all workers.
    clipped_examples
        For this many examples at the start, the loss is computed on raw values clipped to [0, 1] instead of
        on the output layer's probabilities. This revives questions that have no gradient (Dieleman, Willett &
        Dambre 2015, section 7.5).
    viewpoints
        How many of an example's sixteen viewpoints are shown, drawn anew each time. With 8, a step takes half
        the time. The features of the others are set to 0, which acts like dropout on the first dense layer:
        the network relies less on any single viewpoint.
    dropout
        Fraction of units left out at random before each dense layer; replaces the network file's. A teacher's
        answers are less noisy than votes, and learning from them needs less dropout.
    average_decay
        Decay per step of the moving average of the weights, which is what is saved; 0 for no average.
    precision
        Data type of convolutions and products; weights and loss are always in float32. ``auto`` is bfloat16
        if the machine has hardware for it, otherwise float32; a training that continues keeps its precision.
    held_out
        Fraction of the label file's rows, at its end, that is held out from training.
    trunk_rate
        Factor on the learning rate of all layers but the last; 0 leaves them unchanged.
    """

    name: str
    seed: int = 0
    examples: int = Field(gt=0)
    batch_size: int = Field(default=50, gt=0)
    optimizer: Annotated[AdamW | Nesterov, Field(discriminator="kind")] = AdamW()
    schedule: Annotated[OneCycle | Steps, Field(discriminator="kind")] = OneCycle(highest=2e-3)
    clipped_examples: int = Field(default=0, ge=0)
    viewpoints: int = Field(default=VIEWPOINTS, ge=1, le=VIEWPOINTS)
    dropout: float | None = Field(default=None, ge=0, lt=1, exclude_if=lambda value: value is None)
    average_decay: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["auto"] | Precision = "auto"
    held_out: float = Field(default=0.2, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    trunk_rate: float = Field(default=1.0, ge=0)

    def learning_rate(self, seen: int) -> float:
        """The learning rate once so many examples have been shown."""
        return self.schedule.at(seen, self.examples)

    def regularised(self, spec: NetworkSpec) -> NetworkSpec:
        """A network with this recipe's dropout, where it names one."""
        if self.dropout is None:
            return spec
        change = {"dropout": self.dropout}
        dense = tuple(layer.model_copy(update=change) for layer in spec.dense)
        return spec.model_copy(update={"dense": dense, "output": spec.output.model_copy(update=change)})
