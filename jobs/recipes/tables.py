"""Label tables of the galaxies that the project's weights learn from.

Each is a table with ``object_id``, ``image``, columns of votes, and where needed ``frame_pixels``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from jobs.recipes.balancing import balancing_weights
from pipeline import storage
from pipeline.config import CONFIGS
from pipeline.images import decode_image
from pipeline.images.detection import DetectedSource, DetectionCriteria, detect_sources
from pipeline.images.region import FRAME_HALF_LIGHT_RADII, FRAME_RADII
from pipeline.tree import DecisionTree, load_tree

VOTES, EFIGI, KINDS, LARGEST = (
    str(CONFIGS / "trees" / f"{name}.yaml")
    for name in ("galaxy_zoo_2", "efigi", "galaxy_zoo_1", "largest_answer")
)

_EFIGI_FRAME = 2.2
"""An EFIGI image ends near its galaxy's edge; a Galaxy Zoo frame is so many times as wide."""

FRAMES: dict[str, Callable[[DetectedSource], float]] = {
    "half_light": lambda source: FRAME_HALF_LIGHT_RADII * source.half_light_radius,
    "petrosian": lambda source: FRAME_RADII * source.radius,
}
"""How wide a galaxy's frame is, by what is measured of it in the picture."""

_DETECTION = DetectionCriteria(background_pixels=64, minimum_area=10)

HELD_OUT = 100
"""How many of the challenge's first 500 galaxies, the last ones, nothing is ever learnt from."""


class VotedGalaxies(NamedTuple):
    """The Galaxy Challenge's galaxies with votes, divided by what they are for.

    Attributes
    ----------
    trained
        To learn from, with a column ``volunteers``: what each counts (see `balancing_weights`), 1 on average.
    calibration
        Fair galaxies with all votes that no network learns from: they tell how sure its answers are.
    held_out
        The last 100, by which weights are scored.
    """

    trained: pd.DataFrame
    calibration: pd.DataFrame
    held_out: pd.DataFrame

    @property
    def unseen(self) -> list[pd.DataFrame]:
        """The last rows of a label table, which aren't trained on."""
        return [self.calibration, self.held_out]


def voted_galaxies(data: str, tree: DecisionTree) -> VotedGalaxies:
    """All galaxies of the challenge with votes."""
    first, more = challenge(data, tree).assign(sample="fair"), more_challenge(data, tree)
    complete = more[list(tree.columns)].notna().all(axis=1)
    calibration = more[complete & (more["sample"] == "fair")]
    trained = pd.concat([first[:-HELD_OUT], more.drop(calibration.index)], ignore_index=True)
    trained["volunteers"] = balancing_weights(trained[list(tree.columns)], trained["sample"] == "fair")
    return VotedGalaxies(
        trained, calibration.assign(volunteers=1.0), first[-HELD_OUT:].assign(volunteers=1.0)
    )


def more_challenge(data: str, tree: DecisionTree) -> pd.DataFrame:
    """More galaxies of the Galaxy Challenge, with a column ``sample`` that tells how they were chosen.

    ``fair`` as the challenge chose its own, ``any`` nearly so, and ``clean`` only where volunteers agreed. Of
    4,000 of them just the votes on questions 1, 2, 6, 7 and 8 are known.
    """
    table = _read(f"{data}/galaxy_zoo_challenge/labels_more.csv", "GalaxyID")
    votes = table[list(tree.class_columns)].set_axis(list(tree.columns), axis=1)
    images = f"{data}/galaxy_zoo_challenge/" + table["folder"] + "/" + table["GalaxyID"] + ".jpg"
    return votes.assign(object_id="challenge-" + table["GalaxyID"], image=images, sample=table["sample"])


def challenge(data: str, tree: DecisionTree) -> pd.DataFrame:
    """The first 500 labelled galaxies of the Galaxy Challenge, a fair sample."""
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


def stripe_82(data: str, tree: DecisionTree, frame: str = "half_light") -> pd.DataFrame:
    """Galaxies of Stripe 82 with votes on deeper images, in frames that are scaled to them here.

    Parameters
    ----------
    frame
        One of `FRAMES`.
    """
    table = _read(f"{data}/stripe82/votes.csv", "objid")
    votes = table[list(tree.class_columns)].set_axis(list(tree.columns), axis=1)
    for question, gate in tree.gates.items():  # asked, and answered by nobody
        own = list(tree.columns[tree.slices[question]])
        votes.loc[(votes[own].sum(axis=1) == 0) & (votes.iloc[:, list(gate)].sum(axis=1) > 0), own] = np.nan
    images = f"{data}/stripe82/images/" + table["objid"] + ".jpg"
    return votes.assign(
        object_id="stripe82-" + table["objid"],
        image=images,
        frame_pixels=[frame_of(image, FRAMES[frame]) for image in images],
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


def frame_of(image: str, width: Callable[[DetectedSource], float]) -> float:
    """Width of the frame that suits the galaxy in the middle of an image, in the image's pixels."""
    pixels = decode_image(storage.read_bytes(image)).astype(np.float64)
    middle = (np.array(pixels.shape[1::-1]) - 1) / 2
    sources = detect_sources(pixels, _DETECTION)
    if not sources:
        return float(max(pixels.shape))
    nearest = min(sources, key=lambda s: float(np.hypot(s.x - middle[0], s.y - middle[1])))
    return float(np.clip(width(nearest), 60, 2 * max(pixels.shape)))


def write_labels(uri: str, parts: Sequence[pd.DataFrame], tree: DecisionTree) -> None:
    """Write a label table of several parts; what a part has no votes for stays empty.

    What a galaxy counts for is its column ``volunteers``.
    """
    table = pd.concat(parts, ignore_index=True)
    columns = ["object_id", "image", "frame_pixels", "volunteers", *tree.columns]
    storage.write_bytes(uri, table.reindex(columns=columns).to_csv(index=False).encode())


def _read(uri: str, identifier: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(storage.read_bytes(uri)), dtype={identifier: str})
