"""How many clumps are found, and how many are real: ``python -m tests.benchmarks.clumps DATA STUDY``.

DATA holds ``galaxy_zoo_challenge`` and ``clumps``. STUDY is one of:

``injected``
    Completeness and purity against flux ratio on galaxies held out from training, of ``--weights``.
``backbones``
    Completeness and purity above 3 % of detectors trained from galaxies' convolutions and from random ones,
    by the number of training galaxies (``--galaxies 100 500 2000 5000``). Trainings are kept in ``--work``.
``speed``
    Galaxies a second, finding alone and with measuring.

JSON on standard output. All but ``speed`` continue from what is in ``--work``.
"""

from __future__ import annotations

import argparse
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
from pipeline.catalogue.clumps import CRITERIA
from pipeline.clumps.detector import sample_pictures
from pipeline.clumps.finder import ClumpFinder, Placed
from pipeline.clumps.samples import Sample, injected_sample
from pipeline.clumps.training import DetectorRecipe, score_detector, train_detector
from pipeline.clumps.weights import CLUMPS, load_detector
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch


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
            scores = score_detector(detector, samples, THRESHOLDS)
            threshold = best_threshold(scores, CRITERIA["relaxed"])
            results[f"{name}-{len(galaxies)}"] = {
                "threshold": threshold,
                **described(scores[threshold], len(samples)),
            }
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
    placed = Placed(nothing, nothing, nothing, nothing, np.full((len(samples), 4), np.nan))
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
    "backbones": backbones,
    "speed": speed,
}

if __name__ == "__main__":
    main()
