"""Weights of a detector of clumps: ``python -m jobs.recipes.clumps DATA OUT [--galaxies 5000]``.

DATA holds ``galaxy_zoo_challenge``: clumps are injected into galaxies in which most volunteers saw features
or a disk, and which are drawn by a hash of their ids. OUT is the weight file, ``NAME.safetensors``. What is
done is kept in ``OUT.making``; run again, it continues after the last epoch. Of galaxies held out,
completeness and purity are measured by flux ratio and written to the card. Injecting takes 0.15 s of a core a
galaxy, and an epoch 0.06 s.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.catalogue.clumps import CRITERIA
from pipeline.clumps.detector import Detector
from pipeline.clumps.injection import RATIOS
from pipeline.clumps.matching import MATCH_RADIUS, Score
from pipeline.clumps.samples import Sample, TrainingSet, disks, injected_sample, training_set
from pipeline.clumps.training import DetectorRecipe, score_detector, train_detector
from pipeline.clumps.weights import DetectorCard, Kind, TrainedDetector, new_detector, save_detector
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.network import DEFAULT_WEIGHTS, load_network
from pipeline.network.checkpoint import read_card
from pipeline.tree import load_tree

HELD_OUT = 300
THRESHOLDS = tuple(round(0.1 + 0.05 * step, 2) for step in range(15))
BINS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.15, 0.3)
_CHUNK = 100

LIMITS = (
    "It was trained on injected points: clumps that are extended, dusty or blended into arms are missed more "
    "often than the completeness says.",
    "Flux ratios are of the picture's bands, and the 3 % and 8 % of the literature are of near-ultraviolet "
    "light.",
    "A blue foreground star on the galaxy is taken for a clump.",
    "Pictures have to be stretched as SDSS's are for flux ratios to be right.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out")
    parser.add_argument("--galaxies", type=int, default=5000, help="to train on, at most")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="to judge by")
    parser.add_argument("--epochs", type=int, default=DetectorRecipe().epochs)
    parser.add_argument("--backbone", default=DEFAULT_WEIGHTS, help="a network's weights, or `random`")
    parser.add_argument("--kind", choices=["centres", "faster_rcnn"], default="centres")
    options = parser.parse_args()
    recipe = DetectorRecipe(epochs=options.epochs)
    train_on, held_out = drawn(options.data / "galaxy_zoo_challenge", options.galaxies, options.held_out)
    making = Path(f"{options.out}.making")
    making.mkdir(parents=True, exist_ok=True)
    detector, backbone = fresh_detector(options.backbone, recipe.seed, options.kind)
    galaxies = injected_set(train_on, making)
    state = making / f"trained-{options.kind}-{backbone[:8] or 'random'}-{len(galaxies)}-{recipe.epochs}.pt"

    train_detector(
        detector,
        galaxies,
        recipe,
        lambda epochs, loss: say(f"Epoch {epochs} of {recipe.epochs}: loss {loss:.3f}"),
        state,
    )
    say(f"Judging by {len(held_out):,} galaxies held out")
    samples = [injected_sample(path, seed_of(path.stem)) for path in held_out]
    threshold, score = best_threshold(detector, samples)
    card = DetectorCard(
        kind=options.kind,
        threshold=threshold,
        backbone=backbone,
        data={"galaxies": len(galaxies), "injected_ratios": list(RATIOS), "set": "galaxy_zoo_challenge"},
        recipe=recipe.model_dump(),
        score=described(score, len(samples)),
        not_good_for=LIMITS,
    )
    save_detector(detector, options.out, card)
    say(f"{options.out}: {card.score}")


def drawn(challenge: Path, galaxies: int, held_out: int) -> tuple[list[Path], list[Path]]:
    """Pictures to train on, and pictures held out: the latter are the same however many the former are.

    Raises
    ------
    InputError
        If there are too few.
    """
    every = [challenge / folder / f"{name}.jpg" for folder, name in disks(challenge / "labels_more.csv")]
    every.sort(key=lambda path: seed_of(path.stem))
    if len(every) <= held_out:
        raise InputError(f"{challenge} has {len(every)} disks; expected more than the {held_out} held out")
    return every[held_out:][:galaxies], every[:held_out]


def seed_of(name: str) -> int:
    """A number that is a galaxy's own."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])


def fresh_detector(backbone: str, seed: int, kind: Kind = "centres") -> tuple[TrainedDetector, str]:
    """A detector with a network's convolutions, and the sha256 of its weights; or random and ''."""
    torch.manual_seed(seed)
    detector = new_detector(kind)
    if backbone == "random":
        return detector, ""
    network, card = load_network(backbone, load_tree())
    detector.take_convolutions(network)
    return detector, card.sha256 or read_card(backbone).sha256


def injected_set(pictures: Sequence[Path], making: Path) -> TrainingSet:
    """The galaxies with clumps in them, made or as they were made before."""
    chunks = []
    with progress("Injecting clumps", len(pictures)) as advance:
        for start in range(0, len(pictures), _CHUNK):
            some = pictures[start : start + _CHUNK]
            kept = making / f"injected-{start:06d}-{len(some)}.pt"
            if not kept.exists():
                chunk = training_set([injected_sample(path, seed_of(path.stem)) for path in some])
                torch.save([chunk.pictures, chunk.targets.half(), chunk.counts.half()], f"{kept}.part")
                Path(f"{kept}.part").rename(kept)
            pictures_, targets, counts = torch.load(kept, weights_only=True)
            chunks.append((pictures_, targets.float(), counts.float()))
            advance(len(some))
    return TrainingSet(*(torch.cat(part) for part in zip(*chunks, strict=True)))


def best_threshold(detector: Detector, samples: Sequence[Sample]) -> tuple[float, Score]:
    """The threshold at which completeness and purity above 3 % have the largest harmonic mean."""
    scores = score_detector(detector, samples, THRESHOLDS)

    def balance(least: float) -> float:
        complete, pure = (
            ratio(scores[least], CRITERIA["relaxed"]) for ratio in (Score.completeness, Score.purity)
        )
        return float(np.nan_to_num(2 * complete * pure / max(complete + pure, 1e-9)))

    best = max(THRESHOLDS, key=balance)
    return best, scores[best]


def described(score: Score, galaxies: int) -> dict[str, object]:
    """What a card says of a score."""
    return {
        "galaxies": galaxies,
        "match_radius": MATCH_RADIUS,
        "above": {
            str(least): {
                "completeness": round(score.completeness(least), 3),
                "purity": round(score.purity(least), 3),
            }
            for least in CRITERIA.values()
        },
        "bins": list(_bins(score)),
    }


def _bins(score: Score) -> Iterator[dict[str, float | None]]:
    for least, most in itertools.pairwise(BINS):
        values = {
            "completeness": score.completeness(least, most),
            "purity": score.purity(least, most),
        }
        rounded = {name: None if np.isnan(value) else round(value, 3) for name, value in values.items()}
        yield {"least": least, "most": most, **rounded}


if __name__ == "__main__":
    main()
