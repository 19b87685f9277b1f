"""What embeddings keep when a picture is turned, whom they bring together, and what they cost.

    python -m tests.benchmarks.embeddings DATA [--weights FILE] [--galaxies 200] [--neighbours 0]

DATA holds ``galaxy_zoo_challenge``. Cosines are of the decoded vectors: of each galaxy with itself turned by
a random angle (the picture is resampled at its own resolution) and mirrored, and with other galaxies. The
price is CPU time of the model stage with embeddings over that without, call by call in turn. With
``--neighbours``, so many fair galaxies are compared by their votes with the ten that are nearest to each,
among those of which at least half of the volunteers were asked the question. JSON, and a sentence on standard
error.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline import Classifier, storage
from pipeline.averaging import fastest_precision
from pipeline.catalogue.embedding import EMBEDDING, STEP, to_binary
from pipeline.catalogue.files import write_data_files
from pipeline.cutouts.ingest import IngestHubbleConfig, ingest_hubble
from pipeline.geometry.affine import linear_map
from pipeline.images import decode_image
from pipeline.network import DEFAULT_WEIGHTS, check_model
from pipeline.protocol import WorkUnit
from pipeline.representations import read_projection
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.model import ModelActor
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree

_NEAREST = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--galaxies", type=int, default=200)
    parser.add_argument("--neighbours", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    tree, challenge = load_tree(), options.data / "galaxy_zoo_challenge"
    classifier = Classifier(options.weights, embedding=True)
    embeddings, result = invariance(classifier, challenge, options.galaxies)
    result |= price(options.weights, tree, options.repeats)
    result["bytes_a_galaxy"] = round(bytes_of(embeddings), 1)
    if options.neighbours:
        result["precision_at_10"] = neighbours(classifier, challenge, tree, options.neighbours)
    print(json.dumps(result, indent=1))
    turned, mirrored, others = (result[name] for name in ("turned", "mirrored", "others"))
    print(
        f"The vector of a galaxy that was turned has a cosine of {turned['mean']} with its own (at least "
        f"{turned['least']}), mirrored {mirrored['mean']}, and another galaxy's {others['mean']}; the model "
        f"stage takes {result['cpu_ratio'] - 1:+.1%} CPU time, a vector {result['bytes_a_galaxy']} bytes",
        file=sys.stderr,
    )


def invariance(
    classifier: Classifier, challenge: Path, count: int
) -> tuple[NDArray[np.int8], dict[str, Any]]:
    """Embeddings of some galaxies, and their cosines with themselves turned and mirrored, and with others."""
    random = np.random.default_rng(0)
    files = sorted((challenge / "images_training_rev1").glob("*.jpg"))
    chosen = random.choice(len(files), min(count, len(files)), replace=False)
    pictures = [decode_image(files[i].read_bytes()) for i in sorted(chosen)]
    angles = random.uniform(0, 360, len(pictures))
    turned = [resampled(picture, angle) for picture, angle in zip(pictures, angles, strict=True)]
    own = vectors(classifier, pictures)
    among = unit(own) @ unit(own).T
    return own, {
        "galaxies": len(pictures),
        "turned": described(cosines(own, vectors(classifier, turned))),
        "mirrored": described(cosines(own, vectors(classifier, [p[:, ::-1] for p in pictures]))),
        "others": {
            "mean": round(float(among[~np.eye(len(own), dtype=bool)].mean()), 4),
            "nearest_mean": round(float((among - 2 * np.eye(len(own))).max(axis=1).mean()), 4),
        },
    }


def vectors(classifier: Classifier, pictures: list[NDArray[np.uint8]]) -> NDArray[np.int8]:
    return np.stack(classifier.predict(map(np.ascontiguousarray, pictures))[EMBEDDING].tolist())


def resampled(picture: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """A picture turned about its middle: bilinear, reflected at the border, as the network samples."""
    side = picture.shape[0]
    offset = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    y, x = torch.meshgrid(offset, offset, indexing="ij")
    place = torch.stack([x, y], -1) @ torch.from_numpy(linear_map(degrees)).T * 2 / (side - 1)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    turned = functional.grid_sample(image, place[None].float(), padding_mode="reflection", align_corners=True)
    return np.asarray(turned[0].permute(1, 2, 0).round().to(torch.uint8))


def unit(embeddings: NDArray[np.int8]) -> NDArray[np.float64]:
    """Decoded vectors of length 1."""
    decoded = STEP * embeddings.astype(np.float64)
    return decoded / np.linalg.norm(decoded, axis=1, keepdims=True)


def cosines(first: NDArray[np.int8], second: NDArray[np.int8]) -> NDArray[np.float64]:
    return np.asarray((unit(first) * unit(second)).sum(axis=1))


def described(values: NDArray[np.float64]) -> dict[str, float]:
    return {
        "mean": round(float(values.mean()), 5),
        "first_percentile": round(float(np.quantile(values, 0.01)), 5),
        "least": round(float(values.min()), 5),
    }


def price(weights: str, tree: DecisionTree, repeats: int, galaxies: int = 8) -> dict[str, float]:
    """CPU seconds of the model stage with embeddings over those without, the two in turn."""
    with tempfile.TemporaryDirectory() as folder:
        ingest_hubble(IngestHubbleConfig(output=folder))
        (shard,) = (file.uri for file in storage.list_files(folder) if file.uri.endswith(".parquet"))
        decoded = decode_unit(WorkUnit(0, shard, 0, galaxies))
    projection = read_projection(weights, check_model(weights, tree).cards[0].sha256)
    threads = torch.get_num_threads()
    settings = (weights, str(GALAXY_ZOO_2), 60, fastest_precision("cpu"), threads, "cpu")
    stages = [ModelActor(*settings), ModelActor(*settings, projection=projection)]
    ratios, least = [], [np.inf, np.inf]
    for turn in range(repeats + 1):
        spent = [0.0, 0.0]
        for number in (0, 1) if turn % 2 else (1, 0):
            started = time.process_time()
            stages[number](decoded)
            spent[number] = time.process_time() - started
        if turn:
            ratios.append(spent[1] / spent[0])
            least = [min(pair) for pair in zip(least, spent, strict=True)]
    return {
        "cpu_ratio": round(statistics.median(ratios), 4),
        "least_cpu_ratio": round(least[1] / least[0], 4),
        "cpu_milliseconds_a_galaxy": round(1e3 * least[0] / galaxies, 1),
    }


def bytes_of(embeddings: NDArray[np.int8]) -> float:
    """Bytes of a data file of the catalogue that a vector takes."""
    batch = pa.record_batch({EMBEDDING: to_binary(embeddings)})
    with tempfile.TemporaryDirectory() as folder:
        (file,) = write_data_files(folder, batch.schema, [batch])
        column = pq.read_metadata(Path(folder) / file.path).row_group(0).column(0)
    return float(column.total_compressed_size / len(embeddings))


def neighbours(
    classifier: Classifier, challenge: Path, tree: DecisionTree, count: int
) -> dict[str, dict[str, float]]:
    """How many of the nearest ten have a galaxy's own most frequent answer, by question; and of any ten."""
    table = pd.read_csv(challenge / "labels_more.csv", dtype={"GalaxyID": str})
    table = table[table["sample"] == "fair"].iloc[:count]
    places = zip(table["folder"], table["GalaxyID"], strict=True)
    pictures = [decode_image((challenge / folder / f"{name}.jpg").read_bytes()) for folder, name in places]
    directions = unit(vectors(classifier, pictures))
    votes = table[list(tree.class_columns)].to_numpy(np.float64)
    found = {}
    for question in tree.questions:
        own = votes[:, tree.slices[question.key]]
        asked = np.flatnonzero(own.sum(axis=1) >= 0.5)  # not where votes are missing: those are NaN
        if len(asked) <= 2 * _NEAREST:
            continue
        answers = own[asked].argmax(axis=1)
        likeness = directions[asked] @ directions[asked].T
        np.fill_diagonal(likeness, -np.inf)
        nearest = np.argpartition(-likeness, _NEAREST, axis=1)[:, :_NEAREST]
        shares = np.bincount(answers) / len(answers)
        found[question.key] = {
            "galaxies": len(asked),
            "nearest_ratio": round(float((answers[nearest] == answers[:, None]).mean()), 3),
            "any_ratio": round(float((shares**2).sum()), 3),
        }
    return found


if __name__ == "__main__":
    main()
