"""How many clumps are found, and how many are real: ``python -m tests.benchmarks.clumps DATA STUDY``.

DATA holds ``galaxy_zoo_challenge`` and ``clumps``. STUDY is one of:

``injected``
    Completeness and purity against flux ratio on galaxies held out from training, of ``--weights``.
``marked``
    The same on the real galaxies of ``clumps``: as the detector comes, and by five-fold, in which it is
    trained further on four fifths of them for ``--epochs`` and judged by the rest.
``backbones``
    Completeness and purity above 3 % of detectors trained from galaxies' convolutions and from random ones,
    by the number of training galaxies (``--galaxies 100 500 2000 5000``). Trainings are kept in ``--work``.
``speed``
    Galaxies a second, finding alone and with measuring.

JSON on standard output. All but ``speed`` continue from what is in ``--work``.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jobs.recipes.clumps import (
    THRESHOLDS,
    best_threshold,
    described,
    drawn,
    fresh_detector,
    injected_set,
    seed_of,
)
from pipeline.clumps.detector import sample_pictures
from pipeline.clumps.finder import ClumpFinder, Placed
from pipeline.clumps.matching import Score
from pipeline.clumps.samples import Sample, injected_sample, marked_samples, training_set
from pipeline.clumps.training import DetectorRecipe, score_detector, train_detector
from pipeline.clumps.weights import CLUMPS, load_detector
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch

FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--weights", default=CLUMPS)
    parser.add_argument("--held-out", type=int, default=300)
    parser.add_argument("--galaxies", type=int, nargs="+", default=[100, 500, 2000, 5000])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--work", type=Path, default=Path("out/clumps-study"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    print(json.dumps(STUDIES[options.study](options), indent=1))


def held_out(options: argparse.Namespace) -> list[Sample]:
    """Galaxies that no detector of the recipe was trained on, with clumps injected."""
    _, paths = drawn(options.data / "galaxy_zoo_challenge", 0, options.held_out)
    return [injected_sample(path, seed_of(path.stem)) for path in paths]


def injected(options: argparse.Namespace) -> dict[str, Any]:
    detector, card = load_detector(options.weights)
    samples = held_out(options)
    return described(score_detector(detector, samples, [card.threshold])[card.threshold], len(samples))


def marked(options: argparse.Namespace) -> dict[str, Any]:
    detector, card = load_detector(options.weights)
    samples = list(marked_samples(options.data / "clumps").values())
    as_it_comes = score_detector(detector, samples, THRESHOLDS)
    folds = [samples[fold::FOLDS] for fold in range(FOLDS)]
    trained = {least: Score.empty() for least in THRESHOLDS}
    for number, fold in enumerate(folds):
        own = copy.deepcopy(detector).requires_grad_(True)
        others = [one for other, part in enumerate(folds) if other != number for one in part]
        recipe = DetectorRecipe(epochs=options.epochs, batch=8, rate=5e-4)
        state = options.work / f"marked-{card.sha256[:8]}-{options.epochs}-{number}.pt"
        train_detector(own, training_set(others), recipe, state=state)
        for least, score in score_detector(own, fold, THRESHOLDS).items():
            for name, values in vars(score).items():
                getattr(trained[least], name).extend(values)
    return {
        "galaxies": len(samples),
        "clumps": sum(len(one.places) for one in samples),
        "as_it_comes": curve(as_it_comes),
        "five_fold": curve(trained),
    }


def curve(scores: dict[float, Score]) -> list[dict[str, float]]:
    """Completeness and purity of all clumps by threshold."""
    return [
        {
            "threshold": least,
            "completeness": round(score.completeness(), 3),
            "purity": round(score.purity(), 3),
        }
        for least, score in scores.items()
    ]


def backbones(options: argparse.Namespace) -> dict[str, Any]:
    samples, results = held_out(options), {}
    for count in options.galaxies:
        paths, _ = drawn(options.data / "galaxy_zoo_challenge", count, options.held_out)
        galaxies = injected_set(paths, options.work)
        for backbone in (DEFAULT_WEIGHTS, "random"):
            recipe = DetectorRecipe(epochs=options.epochs)
            detector, sha256 = fresh_detector(backbone, recipe.seed)
            name = "galaxies" if sha256 else "random"
            state = options.work / f"backbone-{sha256[:8] or name}-{len(galaxies)}-{options.epochs}.pt"
            train_detector(detector, galaxies, recipe, state=state)
            threshold, score = best_threshold(detector, samples)
            results[f"{name}-{len(galaxies)}"] = {"threshold": threshold, **described(score, len(samples))}
    return results


def speed(options: argparse.Namespace) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    samples = held_out(options)[:64]
    pixels = torch.from_numpy(np.stack([one.picture for one in samples]))
    middle = torch.full((len(samples), 2), (pixels.shape[1] - 1) / 2, dtype=torch.float64)
    regions = RegionBatch(pixels, middle, torch.ones(len(samples), dtype=torch.float64)).to(device)
    nothing = np.full(len(samples), np.nan)
    finder = ClumpFinder(options.weights, device)
    detector = load_detector(options.weights, device)[0]
    placed = Placed(*[nothing] * 5)
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "finding": rate(lambda: detector.find(sample_pictures(regions), 0.5), len(samples)),
        "finding_and_measuring": rate(lambda: finder(regions, placed), len(samples)),
    }


def rate(call: Callable[[], object], galaxies: int, times: int = 5) -> float:
    """Galaxies a second: of the median of some calls, after one that doesn't count."""
    seconds = []
    for _ in range(times + 1):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return round(galaxies / float(np.median(seconds[1:])), 1)


STUDIES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "injected": injected,
    "marked": marked,
    "backbones": backbones,
    "speed": speed,
}

if __name__ == "__main__":
    main()
