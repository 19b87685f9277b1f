"""The weights that come with the project, from galaxies labelled in several ways: ``make weights DATA=DIR``.

    python -m jobs.recipes.weights DIR OUT [--without-efigi]

DIR holds the folders ``galaxy_zoo_challenge``, ``stripe82``, ``sdss_gz1`` and ``efigi``.

An hour on two cores:

1. One network learns all that volunteers and astronomers said of 6,783 galaxies, each where it has labels.
2. From there, two learn Galaxy Zoo 2's votes alone: on 400 galaxies of the challenge, and 383 of Stripe 82.
3. Their mean answers, over 60 transforms, are labels for 3,000 galaxies of the same kind that have none.
4. From the first network again, the one that is kept learns votes and those labels together.

The last 100 galaxies of the challenge's labels are in none of this; they are the score. Weights that never
saw an EFIGI label, and so can be judged by how few of them they need, are made ``--without-efigi``; they
score 0.112 where these score 0.109.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import storage
from pipeline.averaging import average_of, fastest_precision, use_precision
from pipeline.config import CONFIGS
from pipeline.console import progress, say
from pipeline.geometry import averaging_transforms, reach
from pipeline.images import decode_image
from pipeline.images.detection import DetectionCriteria, detect_sources
from pipeline.network import ENSEMBLE_SUFFIX, Ensemble, load_networks, read_card, save_ensemble, write_card
from pipeline.training import Cut, load_galaxies, read_labels
from pipeline.training.score import score, score_in_words
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import DecisionTree, joined, load_tree

VOTES, EFIGI, KINDS, LARGEST = (
    str(CONFIGS / "trees" / f"{name}.yaml")
    for name in ("galaxy_zoo_2", "efigi", "galaxy_zoo_1", "largest_answer")
)
HELD_OUT = 100
"""How many of the challenge's galaxies, the last ones, are never trained on."""

TEACHERS = (1, 2)
"""Seeds of the two teachers, whose answers the last network learns for galaxies without votes."""

LIMITS = (
    "Trained on the votes for 783 galaxies: answers that few volunteers gave (odd features, arm counts, "
    "bulges of edge-on disks) are learnt poorly.",
    "Knows SDSS colour pictures. On other cameras, depths or colour mappings, Hubble's among them, its "
    "answers are extrapolations that nobody has scored.",
    "Saw next to no stars or artifacts, so it doesn't find them; clean the input first.",
)
DATA_NAME = (
    "Galaxy Zoo 2 votes for 400 galaxies of the Galaxy Challenge (Kaggle 2014) and 383 of Stripe 82, answers "
    "of two teachers for 3,000 more, and pre-training on EFIGI and Galaxy Zoo 1; all SDSS images"
)

_EFIGI_FRAME = 2.2
"""An EFIGI image ends near its galaxy's edge; a Galaxy Zoo frame is so many times as wide."""

_FRAME_HALF_LIGHT_RADII = 12.7
"""Width of a frame in half-light radii: the median of galaxies in the challenge's 8-bit pictures."""

_AT_ONCE = 64

_DETECTION = DetectionCriteria(background_pixels=64, minimum_area=10)


def challenge(data: str, tree: DecisionTree) -> pd.DataFrame:
    """The labelled galaxies of the Galaxy Challenge that aren't held out."""
    table = _read(f"{data}/galaxy_zoo_challenge/training_solutions_rev1.csv", "GalaxyID")
    votes = table[list(tree.class_columns)].set_axis(list(tree.columns), axis=1)
    images = f"{data}/galaxy_zoo_challenge/images_training_rev1/" + table["GalaxyID"] + ".jpg"
    return votes.assign(object_id="challenge-" + table["GalaxyID"], image=images)


def largest_answers(data: str) -> pd.DataFrame:
    """Galaxies of the challenge of which only the largest of the 37 fractions is known."""
    table = _read(f"{data}/galaxy_zoo_challenge/argmax_labels.csv", "GalaxyID")
    names = {"Class1.1": "smooth", "Class1.2": "featured_or_disk", "Class6.1": "odd", "Class6.2": "not_odd"}
    votes = {
        f"largest_answer_{name}": (table["argmax37"] == column).astype(float)
        for column, name in names.items()
    }
    images = f"{data}/galaxy_zoo_challenge/images_unlabelled/" + table["GalaxyID"] + ".jpg"
    return pd.DataFrame(votes).assign(object_id="challenge-" + table["GalaxyID"], image=images)


def stripe_82(data: str, tree: DecisionTree) -> pd.DataFrame:
    """Galaxies of Stripe 82 with votes on deeper images, in frames that are scaled to them here."""
    table = _read(f"{data}/stripe82/votes.csv", "objid")
    votes = table[list(tree.class_columns)].set_axis(list(tree.columns), axis=1)
    for question, gate in tree.gates.items():  # asked, and answered by nobody
        own = list(tree.columns[tree.slices[question]])
        votes.loc[(votes[own].sum(axis=1) == 0) & (votes.iloc[:, list(gate)].sum(axis=1) > 0), own] = np.nan
    images = f"{data}/stripe82/images/" + table["objid"] + ".jpg"
    return votes.assign(
        object_id="stripe82-" + table["objid"], image=images, frame_pixels=[frame_of(i) for i in images]
    )


def galaxy_zoo_1(data: str) -> pd.DataFrame:
    """Galaxies with the class that Galaxy Zoo 1 gave them."""
    table = _read(f"{data}/sdss_gz1/classes.csv", "dr7objid")
    kinds = load_tree(KINDS).columns
    kind = "kind_" + table["class"].str.replace("spiral_.*", "spiral", regex=True)
    votes = {column: (kind == column).astype(float) for column in kinds}
    images = f"{data}/sdss_gz1/images/" + table["dr7objid"] + ".jpeg"
    return pd.DataFrame(votes).assign(object_id="gz1-" + table["dr7objid"], image=images)


def efigi(data: str) -> pd.DataFrame:
    """Galaxies with EFIGI's sixteen attributes; one that is undetermined is missing."""
    names = [question.key for question in load_tree(EFIGI).questions]
    lines = storage.read_bytes(f"{data}/efigi/EFIGI_attributes.txt").decode().splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    rows = [row for row in rows if Path(f"{data}/efigi/images/{row[0]}.jpg").exists()]
    # Name and Hubble type, then of each attribute its value and the bounds of its confidence interval.
    values = pd.DataFrame([row[4 : 4 + 3 * len(names) : 3] for row in rows], columns=names, dtype=float)
    values = values.where(values >= 0)
    values["arm_rotation"] = np.nan  # training mirrors half of what it shows
    votes = pd.concat([values.add_suffix("_strong"), (1 - values).add_suffix("_none")], axis=1)
    ids = pd.Series([row[0] for row in rows])
    images = f"{data}/efigi/images/" + ids + ".jpg"
    return votes.assign(object_id="efigi-" + ids, image=images, frame_pixels=88 * _EFIGI_FRAME)


def frame_of(image: str) -> float:
    """Width of the frame that suits the galaxy in the middle of an image, in the image's pixels."""
    pixels = decode_image(storage.read_bytes(image)).astype(np.float64)
    middle = (np.array(pixels.shape[1::-1]) - 1) / 2
    sources = detect_sources(pixels, _DETECTION)
    if not sources:
        return float(max(pixels.shape))
    nearest = min(sources, key=lambda s: float(np.hypot(s.x - middle[0], s.y - middle[1])))
    return float(np.clip(_FRAME_HALF_LIGHT_RADII * nearest.half_light_radius, 60, 2 * max(pixels.shape)))


def _read(uri: str, identifier: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(storage.read_bytes(uri)), dtype={identifier: str})


def main() -> None:
    """Make the weights, in as many steps as are still to be done."""
    data, out, *options = storage.absolute(sys.argv[1]), storage.absolute(sys.argv[2]), *sys.argv[3:]
    tree = load_tree()
    labelled = challenge(data, tree)
    voted, held_out = labelled[:-HELD_OUT], labelled[-HELD_OUT:]
    deep, weak, kinds = stripe_82(data, tree), largest_answers(data), galaxy_zoo_1(data)
    every, trees = [(voted, 3.0), (weak, 0.7), (deep, 2.0), (kinds, 1.0)], [VOTES, KINDS, LARGEST]
    if "--without-efigi" not in options:
        every, trees = [*every, (efigi(data), 1.5)], [VOTES, EFIGI, KINDS, LARGEST]
    write_labels(f"{out}/pretraining.csv", every, joined(*(load_tree(path) for path in trees)))
    common: dict[str, Any] = {"data": out, "output": out}
    train_one(
        TrainConfig(
            **common,
            name="pretraining",
            labels="pretraining.csv",
            tree=tuple(trees),
            recipe=_recipe("pretraining"),
        )
    )
    votes = [(deep, 0.5), (voted, 1.0), (held_out, 1.0)]
    write_labels(f"{out}/votes.csv", votes, tree)
    common |= {"init": f"{out}/pretraining.safetensors", "held_out": HELD_OUT}
    teachers = {}
    for seed, name in zip(TEACHERS, _teachers(), strict=True):
        recipe = _recipe("fine_tuning")
        train_one(TrainConfig(**common, name=name, labels="votes.csv", seed=seed, recipe=recipe))
        teachers[f"{name}.safetensors"] = read_card(f"{out}/{name}.safetensors").sha256
    ensemble = f"{out}/teachers{ENSEMBLE_SUFFIX}"
    save_ensemble(ensemble, Ensemble(name="teachers", members=teachers))
    if not storage.exists(f"{out}/student.csv"):
        without = pd.concat([weak, kinds], ignore_index=True)[["object_id", "image"]]
        write_labels(f"{out}/student.csv", [(answered(without, ensemble, tree, out), 0.5), *votes], tree)
    unseen = read_labels(out, tree, "votes.csv")[-HELD_OUT:]
    say(f"The teachers together: {score_in_words(score(load_networks(ensemble, tree), unseen))}")
    train_one(
        TrainConfig(
            **common,
            labels="student.csv",
            recipe=_recipe("distillation"),
            seed=3,
            data_name=DATA_NAME,
            not_good_for=LIMITS,
        )
    )
    weights = f"{out}/compact.safetensors"
    card = read_card(weights)
    write_card(weights, card.model_copy(update={"recipe": card.recipe | {"steps_before": _steps(out)}}))


def _steps(out: str) -> list[dict[str, Any]]:
    """Data, recipe and score of all networks on the way."""
    steps = []
    for name in ("pretraining", *_teachers()):
        card = read_card(f"{out}/{name}.safetensors")
        score = {key: value for key, value in card.score.items() if key.startswith("rmse_60")}
        steps.append({"tree": card.tree, "data": card.data, "recipe": card.recipe, "score": score})
    return steps


def _teachers() -> list[str]:
    return [f"teacher-{seed}" for seed in TEACHERS]


def answered(galaxies: pd.DataFrame, ensemble: str, tree: DecisionTree, out: str) -> pd.DataFrame:
    """Galaxies with an ensemble's answers, averaged over 60 transforms, in the place of votes."""
    write_labels(f"{out}/unlabelled.csv", [(galaxies, 1.0)], tree)
    labels = read_labels(out, tree, "unlabelled.csv")
    networks = load_networks(ensemble, tree)
    average = average_of(*networks, dtype=use_precision(fastest_precision("cpu")))
    answers = np.empty((len(labels), tree.answer_count), np.float32)
    with progress("Answers of the teachers", len(labels)) as advance:
        regions = load_galaxies(labels, Cut(reach(zoom=min(t.zoom for t in averaging_transforms())))).regions
        for rows, batch in regions.by_side(_AT_ONCE):
            answers[rows.numpy()] = average(batch).numpy()
            advance(len(rows))
    return galaxies.assign(**dict(zip(tree.columns, answers.T, strict=True)))


def write_labels(uri: str, parts: list[tuple[pd.DataFrame, float]], tree: DecisionTree) -> None:
    """Write a label table of several parts, each with a weight; what a part has no votes for stays empty."""
    table = pd.concat([part.assign(volunteers=weight) for part, weight in parts], ignore_index=True)
    columns = ["object_id", "image", "frame_pixels", "volunteers", *tree.columns]
    storage.write_bytes(uri, table.reindex(columns=columns).to_csv(index=False).encode())


def _recipe(name: str) -> str:
    return str(CONFIGS / "recipes" / f"{name}.yaml")


if __name__ == "__main__":
    main()
