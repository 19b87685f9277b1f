"""What weights are worth where labels are few.

    python -m tests.benchmarks.few_labels {rings,efigi} DATA OUT [NAME=WEIGHTS …] [--probe WEIGHTS]

``rings``: has a DECaLS galaxy a ring? Learnt from 20 to 300 of the 400 galaxies in DATA/rings, and judged on
100 others. ``efigi``: the sixteen attributes of DATA/efigi, learnt from 100 to 1,000 galaxies, and judged on
200 others. Galaxies are drawn ten times for each number of labels; the same draws serve all. Networks
continue from each WEIGHTS (``scratch=`` starts from nothing) with a short form of the recipe for few labels:
one viewpoint of each example, batches of ten, and as many examples as ``--examples`` says. They are judged by
single views. ``--probe`` fits a linear probe on the embeddings of weights. Writes ``TASK.json`` and a table
``TASK.md`` into OUT; run again, it continues.

Weights that learnt EFIGI's attributes before, as those that come with the project did, know the answers to
``efigi``. Use others, trained from nothing on the votes alone (``tuningfork train`` without ``init``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy import stats

from jobs.recipes.tables import EFIGI, efigi
from pipeline import storage
from pipeline.averaging import naive_average
from pipeline.config import CONFIGS
from pipeline.evaluation import rmse
from pipeline.geometry import IDENTITY
from pipeline.network import ViewpointSampler, load_network
from pipeline.representations.gathering import decoded
from pipeline.representations.probe import softmax
from pipeline.representations.probe_fitting import best_strength, regression
from pipeline.representations.probe_fitting import score as probe_score
from pipeline.training import read_labels
from pipeline.training.galaxies import Cut, load_galaxies
from pipeline.training.score import SCORE_REACH
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import DecisionTree, load_tree
from tests.benchmarks.embedded import embedded

RING_TREE = """\
name: rings
questions:
  - key: ring
    text: Has the galaxy a ring?
    answers:
      - {key: "no", text: "No", next: null}
      - {key: "yes", text: "Yes", next: null}
"""

SHORT = {"viewpoints": 1, "batch_size": 10}

Rows = NDArray[np.int64]
Answers = NDArray[np.float64]
Learner = Callable[[Rows, Rows, int], Answers]
"""Of rows to learn from, rows to judge and a seed: answers for the latter, shape (judged, answers)."""


@dataclass(frozen=True)
class Task:
    """What is learnt from few labels.

    Attributes
    ----------
    table
        Label table, as `tuningfork train` reads it.
    tree
        The questions, a YAML file.
    counts
        Numbers of labels.
    judged
        How many galaxies of a draw, the last ones, are judged.
    scores
        Named scores of answers, given the votes.
    """

    table: pd.DataFrame
    tree: str
    counts: tuple[int, ...]
    judged: int
    scores: Callable[[Answers, Answers], dict[str, float]]

    @property
    def votes(self) -> Answers:
        """Vote fractions, shape (n, answers)."""
        return self.table[list(load_tree(self.tree).columns)].to_numpy(np.float64)


def main() -> None:
    """Learn, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("data", type=storage.absolute)
    parser.add_argument("out", type=Path)
    parser.add_argument("starts", nargs="*", metavar="NAME=WEIGHTS")
    parser.add_argument("--probe", metavar="WEIGHTS")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--examples", type=int, default=1_500)
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    task = TASKS[options.task](options.data, out)
    learners: dict[str, Learner] = {}
    if options.probe:
        learners["probe"] = probing(task, options.probe, out / "embedded")
    for name, start in (word.split("=", 1) for word in options.starts):
        learners[name] = fine_tuning(task, out / name, start or None, options.examples)
    result = {
        name: {count: judged(task, learn, count, options.draws, name) for count in task.counts}
        for name, learn in learners.items()
    }
    (out / f"{options.task}.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / f"{options.task}.md").write_text(in_words(result))
    print(in_words(result))


def rings(data: str, out: Path) -> Task:
    """DECaLS galaxies with and without rings."""
    table = pd.read_csv(f"{data}/rings/rings.csv", dtype={"id_str": str})
    images = f"{data}/rings/images/" + table["id_str"] + ".jpg"
    labels = {"object_id": table["id_str"], "image": images}
    labels |= {"ring_no": 1.0 - table["ring"], "ring_yes": 1.0 * table["ring"]}
    (tree := out / "rings.yaml").write_text(RING_TREE)

    def scores(answers: Answers, votes: Answers) -> dict[str, float]:
        result = probe_score(votes, answers)
        return {"accuracy": result.accuracy, "auroc": result.auroc}

    return Task(pd.DataFrame(labels), str(tree), (20, 50, 100, 200, 300), 100, scores)


def efigi_attributes(data: str, out: Path) -> Task:
    """EFIGI's sixteen attributes."""

    def scores(answers: Answers, votes: Answers) -> dict[str, float]:
        return {"rmse": rmse(answers, votes)}

    return Task(efigi(data), EFIGI, (100, 300, 1000), 200, scores)


TASKS: dict[str, Callable[[str, Path], Task]] = {"rings": rings, "efigi": efigi_attributes}


def judged(task: Task, learn: Learner, count: int, draws: int, name: str) -> dict[str, dict[str, float]]:
    """Mean scores over the draws, with the 95 % interval of the mean by Student's t."""
    rows = []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(task.table))
        last = order[-task.judged :]
        rows.append(task.scores(learn(order[:count], last, seed), task.votes[last]))
        print(f"{name}, {count} labels, draw {seed}: {rows[-1]}", flush=True)
    scores = pd.DataFrame(rows)
    half = scores.sem() * stats.t.ppf(0.975, draws - 1)
    return {
        score: {"mean": float(scores[score].mean()), "half_width": float(half[score])} for score in scores
    }


def probing(task: Task, weights: str, cache: Path) -> Learner:
    """A linear probe on embeddings."""
    pictures = [Path(image) for image in task.table["image"]]
    values = decoded(embedded(weights, pictures, cache)).astype(np.float64)

    def learn(rows: Rows, last: Rows, seed: int) -> Answers:
        targets = task.votes[rows]
        strength = best_strength(values[rows], targets, seed)
        logits = regression(values[rows], targets, strength).logits(values[last])
        return np.asarray(softmax(logits), np.float64)

    return learn


def fine_tuning(task: Task, out: Path, start: str | None, examples: int) -> Learner:
    """Networks that learn the labels, by a short form of the recipe for them."""
    out.mkdir(parents=True, exist_ok=True)
    tree = load_tree(task.tree)
    recipe = yaml.safe_load((CONFIGS / "recipes" / "few_labels.yaml").read_text())
    (recipe_file := out / "recipe.yaml").write_text(yaml.safe_dump(recipe | SHORT))

    def learn(rows: Rows, last: Rows, seed: int) -> Answers:
        name = f"{len(rows)}-{seed}"
        if (answered := out / f"{name}.npy").exists():
            return np.asarray(np.load(answered))
        task.table.iloc[rows].to_csv(out / f"{name}.csv", index=False)
        task.table.iloc[last].to_csv(out / f"{name}-judged.csv", index=False)
        train_one(
            TrainConfig(
                data=str(out),
                labels=f"{name}.csv",
                output=str(out),
                name=name,
                tree=task.tree,
                recipe=str(recipe_file),
                seed=seed,
                examples=examples,
                held_out=0,
                init=start,
                companions=False,
            )
        )
        answers = answers_of(f"{out}/{name}.safetensors", tree, str(out), f"{name}-judged.csv")
        np.save(answered, answers)
        return answers

    return learn


def answers_of(weights: str, tree: DecisionTree, folder: str, labels: str) -> Answers:
    """Answers of weights for a label table, by single views."""
    network, _ = load_network(weights, tree)
    galaxies = load_galaxies(read_labels(folder, tree, labels), Cut(SCORE_REACH, None))
    answers = np.empty((len(galaxies), tree.answer_count))
    for rows, regions in galaxies.regions.by_side(64):
        answers[rows] = naive_average(network, ViewpointSampler(), regions, (IDENTITY,)).numpy()
    return answers


def in_words(result: Mapping[str, Mapping[int, Mapping[str, Mapping[str, float]]]]) -> str:
    """Tables in Markdown, one a score: a row for each learner, a column for each number of labels."""
    first = next(iter(result.values()))
    lines: list[str] = []
    for score in next(iter(first.values())):
        lines += [
            f"| {score} | " + " | ".join(f"{count:,}" for count in first) + " |",
            "|---" * (1 + len(first)) + "|",
        ]
        for name, counts in result.items():
            cells = (
                f"{each[score]['mean']:.3f} ± {each[score]['half_width']:.3f}" for each in counts.values()
            )
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
