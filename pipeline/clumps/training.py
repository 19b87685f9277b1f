"""Training a detector, and what it then finds in galaxies that it wasn't trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.clumps.detector import Detector
from pipeline.clumps.light import galaxy_light
from pipeline.clumps.matching import Score, match
from pipeline.clumps.photometry import belong, flux_ratios
from pipeline.clumps.samples import Sample, TrainingSet
from pipeline.clumps.weights import TrainedDetector
from pipeline.config import StrictModel
from pipeline.geometry import FRAME_PIXELS
from pipeline.network.layers import lay_channels_last

EpochDone = Callable[[int, float], None]
"""A function that is called with the number of epochs done, and the mean loss of the last."""


class DetectorRecipe(StrictModel):
    """How a detector is trained.

    Attributes
    ----------
    epochs, batch
        Times that each galaxy is shown, and galaxies at a time.
    rate
        Largest learning rate, of one cycle.
    decay
        Weight decay of AdamW.
    seed
        Of the order, the flips and turns, and the weights that begin at random.
    """

    epochs: int = 12
    batch: int = 16
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0


def train_detector(
    detector: TrainedDetector,
    galaxies: TrainingSet,
    recipe: DetectorRecipe,
    done: EpochDone = lambda epochs, loss: None,
    state: Path | None = None,
) -> None:
    """Train a detector; every picture is turned and mirrored at random, and made brighter or darker by 10 %.

    Parameters
    ----------
    state
        File that training is continued from, and that is written after each epoch.
    """
    random = torch.Generator().manual_seed(recipe.seed)
    lay_channels_last(detector)
    optimizer = torch.optim.AdamW(detector.parameters(), recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * -(-len(galaxies) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps, pct_start=0.2)
    detector.train()
    parts: dict[str, Any] = {"detector": detector, "optimizer": optimizer, "schedule": schedule}
    first = 0
    if state is not None and state.exists():
        kept = torch.load(state, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        random.set_state(kept["random"])
        first = kept["epochs"]
    for epoch in range(first, recipe.epochs):
        losses = []
        for rows in torch.randperm(len(galaxies), generator=random).split(recipe.batch):
            pictures, targets, counts = _turned(galaxies, rows, random)
            loss = detector.loss(*(part.to(detector.device) for part in (pictures, targets, counts)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        if state is not None:
            kept = {name: part.state_dict() for name, part in parts.items()}
            torch.save(kept | {"random": random.get_state(), "epochs": epoch + 1}, f"{state}.part")
            Path(f"{state}.part").rename(state)
        done(epoch + 1, float(np.mean(losses)))
    detector.eval()


def _turned(galaxies: TrainingSet, rows: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Some galaxies, all turned by the same quarter turns and mirrored or not, with their own brightness."""
    turns, mirrored = (int(torch.randint(n, (), generator=random)) for n in (4, 2))
    pictures = galaxies.pictures[rows].float() / 255
    targets, counts = galaxies.targets[rows], galaxies.counts[rows]
    gain = 0.9 + 0.2 * torch.rand(len(rows), 1, 1, 1, generator=random)
    pictures = (pictures * gain).clamp(max=1)
    x, y = targets[:, 1], targets[:, 2]
    if mirrored:
        pictures, targets, counts, x, y = (part.flip(-1) for part in (pictures, targets, counts, -x, y))
    for _ in range(turns):  # a quarter to the left takes (x, y) to (y, -x)
        pictures, targets, counts, x, y = (
            torch.rot90(part, 1, (-2, -1)) for part in (pictures, targets, counts, y, -x)
        )
    return pictures, torch.stack([targets[:, 0], x, y, targets[:, 3]], dim=1), counts


def score_detector(
    detector: Detector, samples: Sequence[Sample], thresholds: Sequence[float]
) -> dict[float, Score]:
    """How complete and pure a detector's clumps are, by the probability from which on they count."""
    scores = {least: Score.empty() for least in thresholds}
    middle = (FRAME_PIXELS - 1) / 2
    for sample in samples:
        (every,) = detector.find(torch.from_numpy(sample.seen())[None].float() / 255, min(thresholds))
        light = galaxy_light(sample.picture)
        ratios = flux_ratios(light, every.x + middle, every.y + middle, every.width)
        kept = belong(light, every.x + middle, every.y + middle, ratios)
        every, blue = every[kept], ratios[kept, 2]
        for least, score in scores.items():
            sure = every.probability >= least
            places = np.stack([every.x, every.y], axis=1)[sure]
            score.add(match(places, sample.places, unknown=sample.unknown), sample.ratios, blue[sure])
    return scores
