"""How well the out-of-place score tells other pictures from the camera's, by sets of real pictures.

    python -m tests.benchmarks.out_of_place DATA [--weights FILE]

DATA holds ``galaxy_zoo_challenge``, ``rings``, ``sdss_gz1`` and ``sdss_sky``. Of each set: the median
score, the share above 1, and the area under the ROC curve against 477 fair galaxies of the challenge that
the weights never saw. Stars are cutouts of ``sdss_sky`` whose source in the middle is round and as small as
the smallest there (by eye, nine in ten of them are stars). JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import sep
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pipeline.confidence import Familiarity
from pipeline.confidence.appearance import Appearance
from pipeline.confidence.document import read_confidence
from pipeline.cutouts.ingest import IngestHubbleConfig, ingest_hubble
from pipeline.images import decode_image
from pipeline.images.recentre import cut_frames
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch, check_model, load_networks
from pipeline.training.score import SCORE_REACH
from pipeline.tree import load_tree

MOST = 400
"""Pictures of a set."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    options = parser.parse_args()
    tree = load_tree()
    familiarity = read_confidence(options.weights, check_model(options.weights, tree)).familiarity
    appearance = Appearance(load_networks(options.weights, tree)[0])
    scores = {
        name: np.array([score(appearance, familiarity, *picture) for picture in pictures])
        for name, pictures in picture_sets(options.data).items()
    }
    usual = scores["fair"]
    print(json.dumps({name: described(values, usual) for name, values in scores.items()}, indent=1))


def described(values: NDArray[np.float64], usual: NDArray[np.float64]) -> dict[str, float]:
    which = np.repeat([0, 1], [len(usual), len(values)])
    return {
        "pictures": len(values),
        "median": round(float(np.median(values)), 3),
        "above_1_ratio": round(float((values > 1).mean()), 3),
        "auroc": round(float(roc_auc_score(which, np.concatenate([usual, values]))), 3),
    }


def picture_sets(data: Path) -> dict[str, Iterable[tuple[bytes, float | None]]]:
    """Encoded pictures of each set, and the widths of their frames where these aren't the pictures'."""
    challenge = data / "galaxy_zoo_challenge"
    more = pd.read_csv(challenge / "labels_more.csv", dtype={"GalaxyID": str})
    more = more[(more["sample"] == "fair") & more["Class3.1"].notna()]
    first = pd.read_csv(challenge / "training_solutions_rev1.csv", dtype={"GalaxyID": str})
    fair = [challenge / "images_training_rev1" / f"{name}.jpg" for name in first["GalaxyID"][-100:]]
    places = zip(more["folder"].tolist(), more["GalaxyID"].tolist(), strict=True)
    fair += [challenge / folder / f"{name}.jpg" for folder, name in places]
    sky = sorted((data / "sdss_sky").rglob("*.jpg"))
    return {
        "fair": whole(fair),
        "galaxy_zoo_1": whole(sorted((data / "sdss_gz1" / "images").iterdir())[:MOST]),
        "decals": whole(sorted((data / "rings").rglob("*.jpg"))[:MOST]),
        "hubble": hubble(),
        "sdss_stars": whole([path for path in sky if is_star(decode_image(path.read_bytes()))][:MOST]),
    }


def whole(paths: Iterable[Path]) -> Iterator[tuple[bytes, None]]:
    return ((path.read_bytes(), None) for path in paths)


def hubble() -> Iterator[tuple[bytes, float]]:
    with tempfile.TemporaryDirectory() as folder:
        ingest_hubble(IngestHubbleConfig(output=folder))
        (shard,) = Path(folder).glob("*.parquet")
        rows = pq.read_table(shard, columns=["image", "frame_pixels"]).to_pylist()
    return ((row["image"], row["frame_pixels"]) for row in rows)


def is_star(picture: NDArray[np.uint8]) -> bool:
    """Whether the source in the middle of a 200-pixel cutout is round and no wider than the PSF."""
    light = picture.astype(np.float32).mean(axis=2)
    background = sep.Background(light, bw=64, bh=64)
    above = light - background.back()
    sources = sep.extract(above, 3, err=background.globalrms)
    middle = (np.array(light.shape[::-1]) - 1) / 2
    if not len(sources):
        return False
    distance = np.hypot(sources["x"] - middle[0], sources["y"] - middle[1])
    nearest = sources[int(distance.argmin())]
    place = [nearest["x"]], [nearest["y"]]
    radius, _ = sep.flux_radius(above, *place, [6 * nearest["a"] + 1], 0.5)
    return bool(distance.min() < 5 and 3 < radius[0] < 7.5 and nearest["a"] < 1.4 * nearest["b"])


def score(appearance: Appearance, familiarity: Familiarity, image: bytes, frame: float | None) -> float:
    region, _ = cut_frames(decode_image(image), SCORE_REACH, None, frame, [])
    batch = RegionBatch(
        torch.from_numpy(region.pixels[None].copy()),
        torch.tensor([region.center], dtype=torch.float64),
        torch.tensor([region.scale], dtype=torch.float64),
    )
    return float(familiarity.out_of_place(appearance(batch)[0].numpy())[0])


if __name__ == "__main__":
    main()
