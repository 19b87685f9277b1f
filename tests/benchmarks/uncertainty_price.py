"""What ``uncertainty=true`` costs: ``python -m tests.benchmarks.uncertainty_price [--galaxies 16]``.

CPU seconds that the model stage spends on comparing pictures with those trained on, and the sink on bounds
and worth of the answers, beside those of the answers themselves; all within the same calls, since a
processor's clock drifts by more than the difference. JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np

from pipeline.averaging import fastest_precision
from pipeline.confidence.document import read_confidence
from pipeline.cutouts.ingest import IngestHubbleConfig, ingest_hubble
from pipeline.network import DEFAULT_WEIGHTS, check_model
from pipeline.protocol import WorkUnit
from pipeline.storage import list_files
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.model import ModelActor
from pipeline.streaming.uncertainty import uncertainty_of
from pipeline.tree import GALAXY_ZOO_2, load_tree

P = ParamSpec("P")
R = TypeVar("R")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--galaxies", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    tree, precision = load_tree(), fastest_precision("cpu")
    confidence = read_confidence(DEFAULT_WEIGHTS, check_model(DEFAULT_WEIGHTS, tree))
    with tempfile.TemporaryDirectory() as folder:
        ingest_hubble(IngestHubbleConfig(output=folder))
        (shard,) = (file.uri for file in list_files(folder) if file.uri.endswith(".parquet"))
        decoded = decode_unit(WorkUnit(0, shard, 0, options.galaxies))
    model = ModelActor(
        DEFAULT_WEIGHTS,
        str(GALAXY_ZOO_2),
        60,
        precision,
        options.threads,
        "cpu",
        familiarity=confidence.familiarity,
    )
    parts = Stopwatch(), Stopwatch(), Stopwatch()
    answering, comparing, bounding = parts
    setattr(model, "_classify", answering.on(model._classify))  # noqa: B010
    setattr(model, "_compare", comparing.on(model._compare))  # noqa: B010
    for _ in range(options.repeats + 1):
        answered = model(decoded)
        flat = answered["probabilities"].combine_chunks().flatten()
        answers = np.asarray(flat, np.float32).reshape(-1, tree.answer_count)
        bounding.on(uncertainty_of)(tree, answered, answers, confidence.concentrations)
        for part in parts:
            part.lap()
    medians = [statistics.median(part.laps[1:]) / options.galaxies for part in parts]
    names = ("answering", "comparing", "bounding")
    result = {
        "precision": precision,
        "milliseconds_a_galaxy": {
            name: round(1e3 * value, 3) for name, value in zip(names, medians, strict=True)
        },
        "comparing_ratio": round(medians[1] / medians[0], 4),
        "bounding_ratio": round(medians[2] / medians[0], 4),
    }
    print(json.dumps(result, indent=1))


class Stopwatch:
    """CPU seconds of this process within some calls, lap by lap."""

    def __init__(self) -> None:
        self.laps: list[float] = []
        self._spent = 0.0

    def on(self, call: Callable[P, R]) -> Callable[P, R]:
        def timed(*arguments: P.args, **named: P.kwargs) -> R:
            started = time.process_time()
            result = call(*arguments, **named)
            self._spent += time.process_time() - started
            return result

        return timed

    def lap(self) -> None:
        self.laps.append(self._spent)
        self._spent = 0.0


if __name__ == "__main__":
    main()
