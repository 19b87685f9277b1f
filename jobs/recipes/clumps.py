"""Weights of a detector of clumps: ``python -m jobs.recipes.clumps DATA OUT [--galaxies 5000]``.

DATA holds ``galaxy_zoo_challenge``: clumps are injected into galaxies in which most volunteers saw features
or a disk, and which are drawn by a hash of their ids. OUT is the weight file, ``NAME.safetensors``. What is
done is kept in ``OUT.making``; run again, it continues after the last epoch. Of galaxies held out,
completeness and purity are measured by flux ratio and written to the card. Injecting takes 0.15 s of a core a
galaxy, and an epoch 0.06 s.

With ``--marked`` it is trained further on galaxies whose clumps people marked (DATA/clumps), among injected
ones: five times on four fifths of them, to be judged by the rest, and then on all.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.catalogue.clumps import CRITERIA
from pipeline.clumps.injection import RATIOS
from pipeline.clumps.matching import MATCH_RADIUS, Score
from pipeline.clumps.samples import (
    Sample,
    TrainingSet,
    disks,
    injected_sample,
    joined,
    marked_samples,
    training_set,
    turned,
)
from pipeline.clumps.training import DetectorRecipe, score_detector, train_detector
from pipeline.clumps.weights import DetectorCard, Kind, TrainedDetector, new_detector, save_detector
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.network import DEFAULT_WEIGHTS, load_network
from pipeline.network.checkpoint import read_card
from pipeline.tree import load_tree

HELD_OUT = 300
FOLDS = 5
FURTHER = DetectorRecipe(epochs=8, rate=5e-4)
THRESHOLDS = tuple(round(0.1 + 0.05 * step, 2) for step in range(15))
BINS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.15, 0.3)
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
    parser.add_argument("--marked", action="store_true", help="train further on DATA/clumps")
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
    data = {"galaxies": len(galaxies), "injected_ratios": list(RATIOS), "set": "galaxy_zoo_challenge"}
    samples, by_marked = [injected_sample(path, seed_of(path.stem)) for path in held_out], {}
    if options.marked:
        marked = list(marked_samples(options.data / "clumps").values())
        data["marked_galaxies"] = len(marked)
        scores = five_fold(detector, marked, galaxies, state)
        threshold = best_threshold(scores)
        by_marked = {"marked": {"galaxies": len(marked), **overall(scores[threshold])}}
        detector = trained_further(detector, marked, galaxies, state.with_suffix(".marked.pt"))
        score = score_detector(detector, samples, [threshold])[threshold]
    else:
        scores = score_detector(detector, samples, THRESHOLDS)
        threshold = best_threshold(scores, CRITERIA["relaxed"])
        score = scores[threshold]
    card = DetectorCard(
        kind=options.kind,
        threshold=threshold,
        backbone=backbone,
        data=data,
        recipe=recipe.model_dump() | ({"further": FURTHER.model_dump()} if options.marked else {}),
        score=described(score, len(samples)) | by_marked,
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
            chunks.append(TrainingSet(pictures_, targets.float(), counts.float()))
            advance(len(some))
    return joined(chunks)


def five_fold(
    detector: TrainedDetector, marked: Sequence[Sample], injected: TrainingSet, state: Path
) -> dict[float, Score]:
    """What is found in marked galaxies by detectors that were trained further on the other four fifths.

    Parameters
    ----------
    state
        Where the detector's own training is kept; that of each fold is kept beside it.
    """
    scores = {least: Score.empty() for least in THRESHOLDS}
    for fold in range(FOLDS):
        others = [one for number, one in enumerate(marked) if number % FOLDS != fold]
        own = trained_further(detector, others, injected, state.with_suffix(f".fold{fold}.pt"))
        for least, score in score_detector(own, marked[fold::FOLDS], THRESHOLDS).items():
            for name, values in vars(score).items():
                getattr(scores[least], name).extend(values)
        say(f"Fold {fold + 1} of {FOLDS}: {overall(scores[best_threshold(scores)])} so far")
    return scores


def trained_further(
    detector: TrainedDetector, marked: Sequence[Sample], injected: TrainingSet, state: Path
) -> TrainedDetector:
    """A copy of a detector, trained further on marked galaxies among as many injected ones.

    Marked ones are shown turned by multiples of 15°, and by quarter turns from there.
    """
    own = copy.deepcopy(detector).requires_grad_(True)
    seen = training_set([turned(one, degrees) for degrees in range(0, 90, 15) for one in marked])
    train_detector(own, joined([seen, injected.first(len(seen))]), FURTHER, state=state)
    return own


def best_threshold(scores: Mapping[float, Score], least: float = 0.0) -> float:
    """Where completeness and purity have the largest harmonic mean, of clumps of this flux ratio or more."""

    def balance(threshold: float) -> float:
        complete, pure = scores[threshold].completeness(least), scores[threshold].purity(least)
        return float(np.nan_to_num(2 * complete * pure / max(complete + pure, 1e-9)))

    return max(scores, key=balance)


def overall(score: Score) -> dict[str, float]:
    """Completeness and purity of all clumps."""
    return {"completeness": round(score.completeness(), 3), "purity": round(score.purity(), 3)}


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
