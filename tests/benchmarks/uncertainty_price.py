"""What ``uncertainty=true`` costs: ``python -m tests.benchmarks.uncertainty_price [--galaxies 32]``.

The model stage answers the same galaxies with and without comparing their pictures with those trained on, in
turns; and the sink's part, bounds and worth of the answers, is timed for as many. JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time

import numpy as np
import pyarrow as pa

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--galaxies", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    tree, precision = load_tree(), fastest_precision("cpu")
    confidence = read_confidence(DEFAULT_WEIGHTS, check_model(DEFAULT_WEIGHTS, tree))
    with tempfile.TemporaryDirectory() as folder:
        ingest_hubble(IngestHubbleConfig(output=folder))
        (shard,) = (file.uri for file in list_files(folder) if file.uri.endswith(".parquet"))
        decoded = decode_unit(WorkUnit(0, shard, 0, options.galaxies))
    plain, sure = (
        ModelActor(
            DEFAULT_WEIGHTS, str(GALAXY_ZOO_2), 60, precision, options.threads, "cpu", familiarity=familiarity
        )
        for familiarity in (None, confidence.familiarity)
    )
    spent: dict[str, list[float]] = {"without": [], "with": [], "sink": []}
    for _ in range(options.repeats + 1):
        spent["without"].append(seconds(plain, decoded))
        spent["with"].append(seconds(sure, decoded))
        answered = sure(decoded)
        flat = answered["probabilities"].combine_chunks().flatten()
        answers = np.asarray(flat, np.float32).reshape(-1, tree.answer_count)
        started = time.perf_counter()
        uncertainty_of(tree, answered, answers, confidence.concentrations)
        spent["sink"].append(time.perf_counter() - started)
    medians = {name: statistics.median(values[1:]) for name, values in spent.items()}
    pairs = zip(spent["with"][1:], spent["without"][1:], strict=True)
    result = {
        "precision": precision,
        "milliseconds_a_galaxy": {name: 1e3 * value / options.galaxies for name, value in medians.items()},
        "with_to_without_ratio": statistics.median(one / other for one, other in pairs),
        "sink_to_model_ratio": medians["sink"] / medians["without"],
    }
    print(json.dumps(result, indent=1))


def seconds(stage: ModelActor, decoded: pa.Table) -> float:
    started = time.perf_counter()
    stage(decoded)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
