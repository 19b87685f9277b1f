"""Volunteers' votes: consensus against number of votes, and scale.

    python -m tests.benchmarks.volunteers DATA [ANSWERS] [--classifications 10000000] [--parts 12]

DATA is a folder with vote fractions of the Galaxy Challenge (``galaxy_zoo_challenge``). ANSWERS is a Parquet
file of a network's answers, with uncertainty, whose index is the GalaxyID: the prior. Prints JSON, and a
table on standard error.

1. Simulated volunteers (20,000; 10 % careless, 1 % malicious) over the fractions of fair galaxies with all
   answers: by question, error of the shares and share of galaxies with the right answer, of those that half
   of the volunteers were asked about.
2. So many simulated classifications: time and memory, and whether bit by bit and at once give the same.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.tree import DecisionTree, load_tree
from pipeline.volunteers.ballots import Ballots, read_ballots
from pipeline.volunteers.bayesian import aggregate
from pipeline.volunteers.exports import Piece
from pipeline.volunteers.prior import NetworkAnswers
from pipeline.volunteers.records import QUARANTINE, VOTES
from pipeline.volunteers.simulator import classify, conditional_shares, crowd, looks, simulate
from pipeline.volunteers.store import add_votes, votes_uri
from pipeline.volunteers.weights import fractions, weighted_votes
from pipeline.volunteers.zooniverse import answer_texts
from tests.support.dawid_skene import dawid_skene

USERS = 20_000
VOTES_EACH = (5, 8, 10, 20, 40)
METHODS = ("fractions", "gz2_weights", "dawid_skene", "ours", "ours_with_network")


def fair_galaxies(data: Path, tree: DecisionTree) -> tuple[list[str], np.ndarray]:
    """Ids and cumulative vote fractions of fair galaxies that have all of them."""
    folder, columns = data / "galaxy_zoo_challenge", list(tree.class_columns)
    more = pd.read_csv(folder / "labels_more.csv", dtype={"GalaxyID": str})
    more = more[(more["sample"] == "fair") & more[columns].notna().all(axis=1)]
    both = pd.concat([more, pd.read_csv(folder / "training_solutions_rev1.csv", dtype={"GalaxyID": str})])
    return both["GalaxyID"].tolist(), both[columns].to_numpy(np.float64)


def network_answers(path: str, tree: DecisionTree, ids: list[str]) -> NetworkAnswers:
    """A network's answers for those of the galaxies that it has."""
    table = pd.read_parquet(path)
    places = np.array([number for number, name in enumerate(ids) if name in table.index])
    rows = table.loc[[ids[place] for place in places]]
    worth = [f"{question.key}_volunteers" for question in tree.questions]
    return NetworkAnswers(
        places, rows[list(tree.columns)].to_numpy(np.float64), rows[worth].to_numpy(np.float64)
    )


def judged(tree: DecisionTree, found: np.ndarray, fair: np.ndarray, galaxies: np.ndarray) -> dict[str, list]:
    """Root mean square error of the shares and accuracy of the answers, of each question."""
    shares, result = conditional_shares(tree, fair), {}
    for question in tree.questions:
        where = tree.slices[question.key]
        asked = galaxies[fair[galaxies, where].sum(axis=1) >= 0.5]
        a, b = found[asked, where], shares[asked, where]
        right = (a.argmax(axis=1) == b.argmax(axis=1)).mean()
        result[question.key] = [round(float(np.sqrt(np.mean((a - b) ** 2))), 4), round(float(right), 4)]
    return result


def by_dawid_skene(ballots: Ballots, shares: np.ndarray) -> np.ndarray:
    """The textbook's, question by question; where there are no votes, fractions' zeros."""
    found = np.zeros_like(shares)
    (block,) = ballots.blocks()
    for number, where in enumerate(ballots.tree.slices.values()):
        votes = block.on(number)
        truth = dawid_skene(votes.galaxy, votes.user, votes.answer, where.stop - where.start, 20)
        found[: len(truth), where] = truth
    return found


def simulated(
    tree: DecisionTree, ids: list[str], fair: np.ndarray, network: NetworkAnswers | None, seed: int
) -> dict[str, Any]:
    """All methods after so many votes."""
    rng = np.random.default_rng(seed)
    shares, people = conditional_shares(tree, fair), crowd(tree, USERS, rng)
    galaxies = np.arange(len(ids)) if network is None else network.galaxies
    results: dict[str, Any] = {}
    for each in VOTES_EACH:
        ballots = simulate(tree, shares, people, each, rng)
        weighted = weighted_votes(ballots)
        found = {
            "fractions": fractions(tree, weighted.counts),
            "gz2_weights": fractions(tree, weighted.weights),
            "dawid_skene": by_dawid_skene(ballots, shares),
            "ours": aggregate(ballots, None, weighted.counts).shares,
        }
        if network is not None:
            knowledge = aggregate(ballots, network, weighted.counts)
            found["ours_with_network"] = knowledge.shares
            alpha = knowledge.alpha[galaxies]
            worth = {key: alpha[:, where].sum(axis=1) for key, where in tree.slices.items()}
        results[str(each)] = {name: judged(tree, one, fair, galaxies) for name, one in found.items()}
    result = {"galaxies": len(ids), "judged": len(galaxies), "users": USERS, "seed": seed, "votes": results}
    if network is not None:
        result["votes_that_the_network_is_worth"] = {
            k: round(float(np.median(w)), 1) for k, w in worth.items()
        }
    return result


def reached(tree: DecisionTree, results: dict[str, Any]) -> dict[str, Any]:
    """Of each question how few votes with the network are as good as 40 plain ones, and what 8 are worth."""
    votes, name = results["votes"], METHODS[-1] if METHODS[-1] in results["votes"]["5"] else "ours"
    summary = {}
    for question in tree.questions:
        key = question.key
        error, accuracy = votes["40"]["fractions"][key]
        plain = [votes[n]["fractions"][key][0] for n in votes]
        # Errors fall as votes grow: the number of plain votes with the same error, on a logarithmic scale.
        worth = np.interp(-votes["8"][name][key][0], -np.array(plain), np.log(VOTES_EACH))
        summary[key] = {
            "error_at": next((n for n in votes if votes[n][name][key][0] <= error), None),
            "accuracy_at": next((n for n in votes if votes[n][name][key][1] >= accuracy), None),
            "plain_votes_that_8_are_worth": round(float(np.exp(worth)), 1),
        }
    return summary


def pieces(tree: DecisionTree, shares: np.ndarray, count: int, seed: int) -> Iterator[Piece]:
    """Simulated classifications as an export would give them, a hundred thousand at a time."""
    rng = np.random.default_rng(seed)
    people = crowd(tree, USERS, rng, bots=0.001)
    galaxies, each, number = max(count // 40, 1), 40, 0
    at_once = min(max(galaxies // 10, 1), 2_500)
    subjects = pa.array([f"J{place:08d}" for place in range(galaxies)])
    users = pa.array([f"user {place}" for place in range(USERS)])
    for first in range(0, galaxies, at_once):
        some = np.arange(first, min(first + at_once, galaxies))
        galaxy, user = looks(len(some), each, people, rng)
        row, column = classify(tree, shares[some % len(shares)], people, galaxy, user, rng)
        order = np.argsort(row, kind="stable")
        row, column = row[order], column[order]
        question, answer = answer_texts(tree, column)
        votes = [
            pa.array(number + row),
            users.take(pa.array(user[row])),
            subjects.take(pa.array(some[galaxy[row]])),
            *(question, answer),
            pa.array((number + row) * 1_000_000, pa.timestamp("us", tz="UTC")),
        ]
        number += len(galaxy)
        yield Piece(pa.Table.from_arrays(votes, schema=VOTES), QUARANTINE.empty_table(), len(galaxy))


def at_scale(tree: DecisionTree, fair: np.ndarray, count: int, folder: str) -> dict[str, Any]:
    """Time and memory of so many classifications, read in and aggregated."""
    shares = conditional_shares(tree, fair)
    result: dict[str, Any] = {"classifications": count}
    clock, used = time.perf_counter(), time.process_time()

    def lap(name: str) -> None:
        nonlocal clock, used
        result[f"{name}_seconds"] = round(time.perf_counter() - clock, 1)
        result[f"{name}_cpu_seconds"] = round(time.process_time() - used, 1)
        result[f"{name}_peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        print(f"{name}: {result[f'{name}_seconds']} s", file=sys.stderr)
        clock, used = time.perf_counter(), time.process_time()

    for _ in pieces(tree, shares, count, 0):
        pass
    lap("simulate")
    half = [piece for number, piece in enumerate(pieces(tree, shares, count // 100, 0)) if number % 2]
    add_votes(f"{folder}/parts", iter(half))
    add_votes(f"{folder}/parts", pieces(tree, shares, count // 100, 0))
    add_votes(f"{folder}/whole", pieces(tree, shares, count // 100, 0))
    tables = []
    for name in ("parts", "whole"):
        with read_ballots(votes_uri(f"{folder}/{name}"), tree) as ballots:
            tables.append(aggregate(ballots).shares)
    result["incremental_and_batch_differ_by"] = float(np.abs(tables[0] - tables[1]).max())
    lap("incremental")
    added = add_votes(f"{folder}/all", pieces(tree, shares, count, 0))
    result["votes"] = added.votes
    lap("simulate_and_add")
    with read_ballots(votes_uri(f"{folder}/all"), tree) as ballots:
        lap("code")
        weighted = weighted_votes(ballots)
        lap("weights")
        aggregate(ballots, None, weighted.counts)
        lap("aggregate")
    return result


def table(tree: DecisionTree, results: dict[str, Any]) -> str:
    """Error and accuracy, averaged over questions, of each method."""
    lines = [f"{'votes':>6} " + "".join(f"{name:>22}" for name in METHODS)]
    for each, found in results["votes"].items():
        cells = [
            "".join(f"{np.mean([one[i] for one in found[name].values()]):>11.4f}" for i in (0, 1))
            for name in METHODS
            if name in found
        ]
        lines.append(f"{each:>6} " + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("answers", nargs="?")
    parser.add_argument("--classifications", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default="12", help="which of the two to measure")
    given = parser.parse_args()
    tree = load_tree()
    ids, fair = fair_galaxies(given.data, tree)
    network = network_answers(given.answers, tree, ids) if given.answers else None
    result: dict[str, Any] = {}
    if "1" in given.parts:
        result["simulated"] = simulated(tree, ids, fair, network, given.seed)
        result["as_good_as_40_plain_votes"] = reached(tree, result["simulated"])
        print(table(tree, result["simulated"]), file=sys.stderr)
    if "2" in given.parts:
        with tempfile.TemporaryDirectory() as folder:
            result["scale"] = at_scale(tree, fair, given.classifications, folder)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
