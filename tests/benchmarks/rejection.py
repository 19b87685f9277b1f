"""How well galaxies are told from the rest: ``python -m tests.benchmarks.rejection DATA [--fair 4000]``.

DATA holds ``sdss_sky`` and ``galaxy_zoo_challenge``. Of 300 sky cutouts that were labelled by eye before
anything was fitted (``docs/_static/rejection_judged.csv``, ids only): the share of each kind that is
rejected, and what for; those of which the eye can't tell are in no share that counts. Of fair galaxies of
the challenge, none of which was learnt from: the share that is kept. And CPU milliseconds a picture, decoded
already. JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline.config import PROJECT
from pipeline.images import decode_image
from pipeline.images.rejection import NONE, load_rejection, verdict_on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--fair", type=int, default=4000, help="most galaxies of the challenge")
    options = parser.parse_args()
    load_rejection()
    judged = pd.read_csv(PROJECT / "docs" / "_static" / "rejection_judged.csv")
    challenge = options.data / "galaxy_zoo_challenge"
    more = pd.read_csv(challenge / "labels_more.csv", dtype={"GalaxyID": str})
    fair = more[more["sample"] == "fair"].iloc[: options.fair]
    shown = {
        kind: described(options.data / "sdss_sky" / "images" / f"{name}.jpg" for name in ids)
        for kind, ids in judged.groupby("kind")["object_id"]
    }
    names = fair[["folder", "GalaxyID"]].to_numpy()
    shown["challenge"] = described(challenge / folder / f"{name}.jpg" for folder, name in names)
    wanted = [shown["star"], shown["artifact"]]
    rejected = sum(round(kind["rejected_ratio"] * kind["pictures"]) for kind in wanted)
    summary = {
        "stars_and_artifacts_rejected_ratio": rejected / sum(kind["pictures"] for kind in wanted),
        "galaxies_kept_ratio": 1 - shown["galaxy"]["rejected_ratio"],
        "challenge_kept_ratio": 1 - shown["challenge"]["rejected_ratio"],
    }
    print(json.dumps({name: round(value, 4) for name, value in summary.items()} | shown, indent=1))


def described(paths: Iterable[Path]) -> dict[str, float]:
    reasons: Counter[str] = Counter()
    seconds = 0.0
    for path in paths:
        picture = decode_image(path.read_bytes())
        started = time.process_time()
        reasons[verdict_on(picture).rejection] += 1
        seconds += time.process_time() - started
    pictures = reasons.total()
    return {
        "pictures": pictures,
        "rejected_ratio": round(1 - reasons[NONE] / pictures, 4),
        "milliseconds": round(1000 * seconds / pictures, 2),
        **dict(sorted(reasons.items())),
    }


if __name__ == "__main__":
    main()
