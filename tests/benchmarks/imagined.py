"""How good made galaxies are: against real ones held out, with real against real for the floor.

    python -m tests.benchmarks.imagined WEIGHTS DATA [--guidance 1,2] [--galaxies 400] [--trained 9870]

DATA holds ``galaxy_zoo_challenge``. For each galaxy that nothing learnt from, one is made with the same
votes. All are seen in pictures as a generator makes them, 64 pixels of the frame's middle, so that resolution
tells nobody apart, and by the network that classifies:

- ``frechet``: Fréchet distance of their embeddings (64 numbers) to those of the galaxies held out, of all and
  of those that most volunteers called smooth, or featured; ``floor`` is that of as many real galaxies, drawn
  from the fair ones that were trained on;
- ``agreement``: root mean square of what the network answers less what was asked for; of real galaxies, less
  their votes;
- ``nearest``: distance to the most alike of the galaxies trained on, turned by 24 angles and mirrored or not,
  at 16 × 16 pixels; and the share of made galaxies that are nearer to one than 95 % of the real ones held out
  (0.05 where nothing is known by heart);
- ``distributions``: Kolmogorov and Smirnov's distance of colours, half-light radii and concentrations.

JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from torch import Tensor
from torch.nn import functional

from jobs.recipes.generation import challenge_labels, training_set
from pipeline import Classifier
from pipeline.catalogue.embedding import EMBEDDING, STEP
from pipeline.console import progress
from pipeline.generation.generator import Generator
from pipeline.generation.pictures import PICTURE_FRAME, SIDE, TrainingSet, to_bytes
from pipeline.generation.weights import load_generator
from pipeline.images.region import FRAME_RADII
from pipeline.tree import load_tree

_BATCH = 64
_COARSE = 16
_ANGLES = 24
_KINDS = {"smooth": 0, "featured": 1}
_FEWEST = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights")
    parser.add_argument("data")
    parser.add_argument("--guidance", default="1,2")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--galaxies", type=int, default=400, help="to make, and held out")
    parser.add_argument("--trained", type=int, default=9870, help="to look for the most alike among")
    options = parser.parse_args()
    tree = load_tree()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator, card = load_generator(options.weights, tree, device)
    with tempfile.TemporaryDirectory() as folder:
        trained_labels, unseen_labels = challenge_labels(options.data, Path(folder), tree)
    unseen = training_set(unseen_labels[: options.galaxies])
    trained = training_set(trained_labels[: options.trained])
    asked = unseen.votes
    judge = Judge(seen(unseen), asked, near := Neighbours(trained))
    result: dict[str, Any] = {"weights": card.sha256, "galaxies": len(unseen), "steps": options.steps}
    fair = trained.first(len(unseen))  # the label table begins with 400 fair ones
    result["floor"] = judge(seen(fair), fair.votes, None)
    result["held_out"] = {"nearest": near.summary(judge.nearest), "agreement": judge.agreement}
    for guidance in map(float, options.guidance.split(",")):
        made = made_like(generator, asked, guidance, options.steps)
        result[f"guidance {guidance:g}"] = judge(made, asked, near)
    print(json.dumps(result, indent=1))


def seen(galaxies: TrainingSet) -> Tensor:
    """Real galaxies as they'd be made, (n, 3, 64, 64)."""
    rows = torch.arange(len(galaxies))
    parts = [
        galaxies.seen(some, torch.zeros(len(some)), torch.zeros(len(some), dtype=torch.bool))
        for some in rows.split(_BATCH)
    ]
    return torch.cat(parts)


def made_like(generator: Generator, votes: Tensor, guidance: float, steps: int) -> Tensor:
    """A galaxy for each row of votes."""
    random = torch.Generator().manual_seed(0)
    parts = []
    with progress(f"Making, guidance {guidance:g}", len(votes)) as advance:
        for some in votes.split(_BATCH):
            noise = torch.randn(len(some), 3, SIDE, SIDE, generator=random)
            parts.append(generator.make(some, noise, guidance, steps).cpu())
            advance(len(some))
    return torch.cat(parts)


class Neighbours:
    """The galaxies that were trained on, small and turned, to look for the most alike."""

    def __init__(self, trained: TrainingSet) -> None:
        turned = []
        for rows in torch.arange(len(trained)).split(_BATCH):
            for number in range(2 * _ANGLES):
                angle = torch.full((len(rows),), 2 * math.pi * (number // 2) / _ANGLES)
                mirrored = torch.full((len(rows),), bool(number % 2))
                turned.append(coarse(trained.seen(rows, angle, mirrored)))
        self._turned = torch.cat(turned)
        self._squares = self._turned.square().sum(dim=1)

    def __call__(self, pictures: Tensor) -> NDArray[np.float64]:
        """Distance of each picture to the most alike."""
        nearest = []
        for some in coarse(pictures).split(_BATCH):
            squares = self._squares - 2 * some @ self._turned.T + some.square().sum(dim=1, keepdim=True)
            nearest.append(squares.min(dim=1).values.clamp(min=0).sqrt())
        found: NDArray[np.float64] = torch.cat(nearest).double().numpy()
        return found

    @staticmethod
    def summary(distances: NDArray[np.float64]) -> dict[str, float]:
        quantiles = np.quantile(distances, [0.05, 0.5, 0.95]).round(3).tolist()
        return dict(zip(("5 %", "50 %", "95 %"), quantiles, strict=True))


def coarse(pictures: Tensor) -> Tensor:
    """Pictures at 16 × 16 pixels, as rows; square roots, so that bright cores aren't all that counts."""
    return functional.avg_pool2d(pictures, SIDE // _COARSE).clamp(min=0).sqrt().flatten(1)


class Judge:
    """Compares pictures with those of galaxies held out."""

    def __init__(self, held_out: Tensor, votes: Tensor, near: Neighbours) -> None:
        self._classifier = Classifier(embedding=True)
        self._votes = votes.numpy()
        self._held_out = held_out
        self._embeddings, answers = self._look(held_out)
        self.agreement = differences(answers, self._votes)
        self.nearest = near(held_out)

    def __call__(self, pictures: Tensor, votes: Tensor, near: Neighbours | None) -> dict[str, Any]:
        embeddings, answers = self._look(pictures)
        asked = votes.numpy()
        result: dict[str, Any] = {
            "frechet": {"all": round(frechet_distance(embeddings, self._embeddings), 3)},
            "agreement": differences(answers, asked),
            "distributions": {
                name: round(float(ks_2samp(values, shapes(self._held_out)[name]).statistic), 3)
                for name, values in shapes(pictures).items()
            },
        }
        for kind, column in _KINDS.items():
            own, others = asked[:, column] > 0.5, self._votes[:, column] > 0.5
            if min(own.sum(), others.sum()) >= _FEWEST:
                distance = frechet_distance(embeddings[own], self._embeddings[others])
                result["frechet"][kind] = round(distance, 3)
        if near is not None:
            distances = near(pictures)
            close = float((distances < np.quantile(self.nearest, 0.05)).mean())
            result["nearest"] = near.summary(distances) | {"share_closer": round(close, 3)}
        return result

    def _look(self, pictures: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Embeddings, (n, 64), and answers, (n, 37)."""
        images = list(to_bytes(pictures).numpy())
        frame = self._classifier.predict(images, radius=PICTURE_FRAME / FRAME_RADII)
        embeddings = np.stack(frame[EMBEDDING].tolist()).astype(np.float64) * STEP
        return embeddings, frame[list(self._classifier.tree.columns)].to_numpy(np.float64)


def differences(answers: NDArray[np.float64], votes: NDArray[np.float32]) -> float:
    """Root mean square, over what is known."""
    return round(float(np.sqrt(np.nanmean(np.square(answers - votes)))), 4)


def frechet_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Squared Fréchet distance between normal distributions fitted to samples, (n, dimensions)."""
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    roots = np.sqrt(np.clip(np.linalg.eigvals(first @ second).real, 0, None)).sum()
    between = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    return float(between + np.trace(first) + np.trace(second) - 2 * roots)


def shapes(pictures: Tensor) -> dict[str, NDArray[np.float64]]:
    """Colour (blue over red), half-light radius in frame pixels, and concentration (r80 over r20)."""
    light = (pictures - pictures.flatten(2).median(dim=2).values[:, :, None, None]).clamp(min=0)
    total = light.flatten(2).sum(dim=2) + 1e-6
    axis = torch.arange(SIDE) - (SIDE - 1) / 2
    radius = torch.hypot(axis[:, None], axis[None, :]).flatten()
    order = radius.argsort()
    grown = light.mean(dim=1).flatten(1)[:, order].cumsum(dim=1)
    grown = grown / (grown[:, -1:] + 1e-6)
    inner, half, outer = (
        radius[order][(grown < share).sum(dim=1).clamp(max=SIDE**2 - 1)] for share in (0.2, 0.5, 0.8)
    )
    return {
        "colour": (total[:, 2] / total[:, 0]).double().numpy(),
        "half_light_radius": (half * 4).double().numpy(),
        "concentration": (outer / inner).double().numpy(),
    }


if __name__ == "__main__":
    main()
