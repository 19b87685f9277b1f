"""How a network is trained, as data: one YAML file a recipe under ``configs/recipes``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.config import StrictModel
from pipeline.training.augmentation import Augmentation


class Recipe(StrictModel):
    """AdamW on one cycle of learning rate and beta1, with an exponential moving average of the weights.

    Attributes
    ----------
    epochs
        How often each galaxy is shown.
    learning_rate
        The highest of the cycle.
    clipped_examples
        For so many examples at the start, the loss is taken on raw values clipped to [0, 1] instead of
        on the output layer's probabilities, which revives questions that have no gradient
        (Dieleman, Willett & Dambre 2015, section 7.5).
    average_decay
        Decay per step of the moving average, which is what gets saved; 0 for none.
    precision
        Data type of convolutions and products; weights and loss stay in float32.
    held_out
        Share of the label file's rows, the last ones, that are never trained on.
    """

    name: str
    seed: int = 0
    epochs: int = Field(gt=0)
    batch_size: int = Field(default=50, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clipped_examples: int = Field(default=0, ge=0)
    average_decay: float = Field(default=0.99, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    held_out: float = Field(default=0.2, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
