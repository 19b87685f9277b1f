"""What a taste finds: ``python -m tests.benchmarks.taste DATA [--galaxies 1500] [--scale 10000000]``.

DATA holds ``galaxy_zoo_challenge``. A simulated researcher rates fair galaxies by how many volunteers gave an
answer (a whole number from 0 to 5), ten a round, as `tuningfork discover` proposes them; a galaxy is
interesting if at least half of the volunteers gave it, or three in ten a ring or a merger. For each answer,
over ten seeds: the area under the ROC curve of the galaxies that the weights weren't trained on, which are
never proposed, from 10 ratings, after 3 rounds and after 10, and without ratings, beside an isolation
forest's; how many of the 300 rated are interesting, how many are left then, and how many
of these are among the first hundred. With ``--scale`` the time in which a taste of 300 ratings ranks so many
galaxies, made of the real ones with noise, and that in which the oddest are found. JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from pipeline.network import DEFAULT_WEIGHTS
from pipeline.representations.gathering import Values, decoded, diverse
from pipeline.representations.oddity import oddity
from pipeline.representations.taste import Taste, learn_taste
from tests.benchmarks.embedded import embedded, unseen

ANSWERS = {"odd": ("Class6.1", 0.5), "ring": ("Class8.1", 0.3), "merger": ("Class8.6", 0.3)}
BATCH, ROUNDS = 10, 30
TOLD = {10: "from_10", 40: "after_3_rounds", 110: "after_10_rounds", 300: "after_300_ratings"}


def main() -> None:
    """Rate and score."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--cache", type=Path, default=Path("out/embedded"))
    parser.add_argument("--galaxies", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--answers", nargs="+", default=list(ANSWERS))
    parser.add_argument("--scale", type=int, default=0)
    options = parser.parse_args()
    challenge = options.data / "galaxy_zoo_challenge"
    table = pd.read_csv(challenge / "labels_more.csv", dtype={"GalaxyID": str})
    table = table[(table["sample"] == "fair") & table["Class6.1"].notna()].iloc[: options.galaxies]
    places = zip(table["folder"], table["GalaxyID"], strict=True)
    pictures = [challenge / folder / f"{name}.jpg" for folder, name in places]
    vectors = embedded(options.weights, pictures, options.cache)
    new = unseen(options.weights, pictures)
    result: dict[str, object] = {"galaxies": len(vectors), "unseen": int(new.sum())}
    for name in options.answers:
        column, least = ANSWERS[name]
        shares = np.nan_to_num(table[column].to_numpy(np.float64))
        runs = [session(vectors, shares, least, new, seed) for seed in range(options.seeds)]
        result[name] = {
            "interesting_share": round(float((shares >= least).mean()), 4),
            "interesting_judged": int((shares[new] >= least).sum()),
            **{key: described([run[key] for run in runs if key in run]) for key in runs[0]},
        }
        print(name, json.dumps(result[name]), file=sys.stderr, flush=True)
    if options.scale:
        result["scale"] = scale(vectors, options.scale)
    print(json.dumps(result, indent=1))


def session(
    vectors: NDArray[np.int8], shares: NDArray[np.float64], least: float, new: NDArray[np.bool_], seed: int
) -> dict[str, float]:
    """One researcher's session on galaxies that the weights know, judged on those that are new to them."""
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(~new))
    own, interesting = vectors[drawn], shares[drawn] >= least
    ratings = np.round(5 * shares[drawn])
    unasked = oddity(own, seed)
    odd = unasked(own)

    def area(scores: NDArray[np.floating]) -> float:
        return float(roc_auc_score(shares[new] >= least, scores))

    forest = IsolationForest(n_estimators=100, random_state=seed).fit(decoded(own))
    scores = {
        "isolation_forest": area(-forest.score_samples(decoded(vectors[new]))),
        "without_ratings": area(unasked(vectors[new])),
    }
    rated = np.zeros(len(own), bool)
    for _ in range(ROUNDS):
        taste = learn_taste(own[rated], ratings[rated])
        rated[proposed(own, odd, taste, rated)] = True
        count = int(rated.sum())
        if count in TOLD:
            score = learn_taste(own[rated], ratings[rated]) or unasked
            scores[TOLD[count]] = area(score(vectors[new]))
    first = np.flatnonzero(~rated)[np.argsort(-score(own[~rated]), kind="stable")[:100]]
    scores["interesting_of_first_100"] = float(interesting[first].sum())
    scores["interesting_left"] = float(interesting[~rated].sum())
    scores["interesting_among_300_rated"] = float(interesting[rated].sum())
    return scores


def proposed(
    vectors: NDArray[np.int8], odd: NDArray[np.floating], taste: Taste | None, rated: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The next galaxies to rate, as `pipeline.run.discovering` chooses them."""
    left = np.flatnonzero(~rated)
    if taste is None:
        oddest = left[np.argsort(-odd[left], kind="stable")[: 20 * BATCH]]
        return np.asarray(oddest[diverse(vectors[oddest], BATCH)])
    return np.asarray(left[np.argsort(-taste.improvement(vectors[left]), kind="stable")[:BATCH]])


def described(values: list[float]) -> dict[str, float]:
    """Mean and spread over seeds."""
    return {"mean": round(float(np.mean(values)), 4), "spread": round(float(np.std(values)), 4)}


def scale(vectors: NDArray[np.int8], count: int, part: int = 1_000_000) -> dict[str, object]:
    """Seconds to rank many galaxies by a taste of 300 ratings, and unasked; CPU time is that of all cores."""
    rng = np.random.default_rng(0)
    taste = learn_taste(vectors[:300], rng.integers(0, 6, 300).astype(np.float64))
    assert taste is not None
    ways: dict[str, Values] = {"taste": taste, "without_ratings": oddity(vectors)}
    return {"galaxies": count, **{name: timed(vectors, way, count, part) for name, way in ways.items()}}


def timed(vectors: NDArray[np.int8], score: Values, count: int, part: int) -> dict[str, float]:
    """Seconds to find the thousand highest scores."""
    rng = np.random.default_rng(0)
    elapsed = spent = 0.0
    for _ in range(0, count, part):
        noise = rng.integers(-4, 5, (part, vectors.shape[1]), dtype=np.int8)
        many = np.clip(vectors[rng.integers(0, len(vectors), part)], -120, 120) + noise
        started = time.perf_counter(), time.process_time()
        best = np.argpartition(-score(many), 1000)[:1000]
        elapsed += time.perf_counter() - started[0]
        spent += time.process_time() - started[1]
        assert len(best) == 1000
    return {"seconds": round(elapsed, 2), "cpu_seconds": round(spent, 2)}


if __name__ == "__main__":
    main()
