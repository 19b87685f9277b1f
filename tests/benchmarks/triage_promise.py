"""Whether triage keeps its promise on galaxies that it wasn't taught by.

    python -m tests.benchmarks.triage_promise CATALOGUE LABELS [TARGET]

Thresholds are learnt on four fifths of the labelled galaxies, and the answers that they settle in the other
fifth are judged; five times, so that each galaxy is judged once. Prints JSON: of each question how many
galaxies were asked it, how many were settled, and the accuracy of these with its exact 95 % interval. The
catalogue should be of galaxies that the weights never saw either, as that of ``make evaluation``.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from pipeline.evaluation.labelled import read_labelled
from pipeline.evaluation.proportion import proportion_interval
from pipeline.evaluation.triage import NOT_ASKED, SETTLED, answered, learn_threshold, split
from pipeline.tree import load_tree

FOLDS = 5


def main() -> None:
    """Learn, judge and print."""
    catalogue, labels, *rest = sys.argv[1:]
    target = float(rest[0]) if rest else 0.9
    tree = load_tree()
    galaxies = read_labelled(catalogue, labels, tree)
    folds = np.random.default_rng(0).permutation(len(galaxies)) % FOLDS
    results = {}
    for question in tree.questions:
        asked = settled = right = 0
        for fold in range(FOLDS):
            seen, unseen = galaxies[folds != fold], galaxies[folds == fold]
            worths = [None if g.uncertainty is None else g.uncertainty.volunteers for g in (seen, unseen)]
            threshold = learn_threshold(
                tree, question, seen.predicted, seen.votes, target, volunteers=worths[0]
            )
            state = split(tree, [threshold], unseen.predicted, worths[1])[0][:, 0]
            votes = unseen.votes[:, tree.slices[question.key]]
            voted = votes.sum(axis=1) > 0
            stands = (state == SETTLED) & voted
            answers = answered(tree, question, unseen.predicted).answer
            asked += int(((state != NOT_ASKED) & voted).sum())
            settled += int(stands.sum())
            right += int((answers == np.nan_to_num(votes).argmax(axis=1))[stands].sum())
        results[question.key] = {
            "asked": asked,
            "settled": settled,
            "accuracy": round(right / settled, 4) if settled else None,
            "interval": [round(bound, 4) for bound in proportion_interval(right, settled)]
            if settled
            else None,
        }
    print(json.dumps({"target": target, "galaxies": len(galaxies), "questions": results}, indent=1))


if __name__ == "__main__":
    main()
