"""A network of another kind, same galaxies: ``python -m tests.benchmarks.rival LABELS OUT [MODEL [N]]``.

LABELS is what `jobs.recipes.labels` wrote, MODEL a network of timm's (``convnext_atto``), which isn't among
the project's dependencies: ``pip install timm``. It sees the middle of each frame, the 69 × 69 pixels of the
viewpoint network's first crop, enlarged twice, with the same augmentation, output layer, loss and weights
of galaxies, is shown as many examples N as in `tests.benchmarks.learning_curve` (60,000), and is averaged
over the same 60 transforms. Adds its line to ``rival.json`` in OUT.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline import storage
from pipeline.console import progress
from pipeline.evaluation import rmse, rmse_interval
from pipeline.geometry import averaging_transforms
from pipeline.network import RegionBatch, ViewpointSampler
from pipeline.network.output import TreeOutput
from pipeline.training import Cut, load_galaxies, read_labels
from pipeline.training.augmentation import Augmentation, Draws, draw
from pipeline.training.order import Order
from pipeline.training.recipe import OneCycle
from pipeline.training.score import SCORE_REACH
from pipeline.tree import DecisionTree, load_tree

BATCH = 50
RATE = 0.002
ENLARGED = 2


class Rival(nn.Module):
    """A network of timm's behind the decision tree's output layer."""

    def __init__(self, name: str, tree: DecisionTree) -> None:
        super().__init__()
        import timm

        self.trunk = timm.create_model(name, num_classes=tree.answer_count, drop_path_rate=0.1)
        nn.init.constant_(self.trunk.get_classifier().bias, 0.1)
        self.output = TreeOutput(tree)

    def forward(self, crops: Tensor) -> Tensor:
        """Map crops (n, 3, 69, 69) to answer probabilities (n, answers)."""
        large = functional.interpolate(crops, scale_factor=ENLARGED, mode="bilinear").sub(0.1).mul(5)
        probabilities: Tensor = self.output(self.trunk(large.contiguous(memory_format=torch.channels_last)))
        return probabilities


def crops_of(sampler: ViewpointSampler, regions: RegionBatch, draws: Draws) -> Tensor:
    """One perturbed crop a galaxy, (n, 3, 69, 69)."""
    crops = sampler.crops(regions, draws.linear, draws.shift)[:, 0, :, 0]
    return (crops + draws.color[:, :, None, None]).clamp_(0, 1)


@torch.no_grad()
def averaged(network: Rival, sampler: ViewpointSampler, regions: RegionBatch) -> Tensor:
    """Mean answers over the 60 transforms, (n, answers)."""
    total = torch.zeros(())
    for transform in averaging_transforms():
        total = total + network(sampler.sample(regions, sampler.grid([transform]))[:, 0, :, 0])
    return total / len(averaging_transforms())


def train(network: Rival, folder: str, unseen: int, examples: int) -> float:
    """Train; the rate in examples/s."""
    labels = read_labels(folder, load_tree(), "votes.csv")
    labels = labels[: len(labels) - unseen]
    augmentation, cycle, sampler = Augmentation(), OneCycle(highest=RATE), ViewpointSampler()
    galaxies = load_galaxies(labels, Cut(max(augmentation.reach, SCORE_REACH)))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.05)
    order, random = Order(0, len(galaxies), BATCH), torch.Generator().manual_seed(0)
    network.train()
    started = time.perf_counter()
    with progress("Training", examples, unit="examples") as advance:
        for seen in range(0, examples, BATCH):
            for group in optimizer.param_groups:
                group["lr"] = cycle.at(seen, examples)
            chosen = galaxies[order.batch(seen)]
            draws = draw(augmentation, BATCH, random)
            loss = torch.zeros(())
            for rows, regions in chosen.regions.by_side():
                answers = network(crops_of(sampler, regions, draws[rows]))
                votes, weights = chosen.votes[rows], chosen.weights[rows]
                voted = ~votes.isnan()
                square = (answers - torch.where(voted, votes, answers.detach())).square()
                loss = loss + (weights * square.sum(1) / voted.sum(1).clamp(min=1)).sum() / BATCH
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            advance(BATCH)
    return examples / (time.perf_counter() - started)


def main() -> None:
    """Train, score, and add the line."""
    folder, out = storage.absolute(sys.argv[1]), Path(storage.absolute(sys.argv[2]))
    name = sys.argv[3] if len(sys.argv) > 3 else "convnext_atto"
    examples = int(sys.argv[4]) if len(sys.argv) > 4 else 60_000
    out.mkdir(parents=True, exist_ok=True)
    tree = load_tree()
    torch.manual_seed(0)
    network = Rival(name, tree)
    unseen = read_labels(folder, tree, "unseen.csv")
    rate = train(network, folder, len(unseen), examples)
    network.eval()
    answers, sampler = torch.zeros(len(unseen), tree.answer_count), ViewpointSampler()
    for rows, regions in load_galaxies(unseen, Cut(SCORE_REACH)).regions.by_side(32):
        answers[rows] = averaged(network, sampler, regions)
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
