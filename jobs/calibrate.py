"""Calibrate: uncertainties that hold for other images and other volunteers than those of the training set."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline import storage
from pipeline.catalogue.export import open_snapshot
from pipeline.confidence import Concentrations, question_coverage
from pipeline.confidence.calibration import asked_of
from pipeline.confidence.document import Confidence, confidence_uri, read_confidence, write_confidence
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.evaluation import read_votes
from pipeline.evaluation.labelled import Labelled, read_labelled
from pipeline.logs import log_event, logs_json
from pipeline.network import ENSEMBLE_SUFFIX, check_model
from pipeline.network.checkpoint import card_uri
from pipeline.network.seen import seen_uri
from pipeline.places import Output, TablePlace, TreeFile, WeightsFile
from pipeline.representations.projection import projection_uri
from pipeline.run.seen import galaxies_to_score
from pipeline.training.confidence import FEWEST_HELD_OUT, concentrations_for, crossed_coverage
from pipeline.tree import GALAXY_ZOO_2, load_tree


class CalibrateConfig(StrictModel):
    """What `tuningfork calibrate` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output.
    labels
        CSV of vote fractions: ``GalaxyID, Class1.1, …`` or ``object_id, <question>_<answer>, …``.
    weights
        The weights that made the catalogue, with uncertainties of their own.
    output
        Folder for a copy of the weights, with uncertainties that fit these votes.
    tree
        The decision tree whose answers the catalogue and the labels hold.
    """

    catalogue: TablePlace
    labels: str
    weights: WeightsFile
    output: Output
    tree: TreeFile = str(GALAXY_ZOO_2)


def run(config: CalibrateConfig) -> None:
    """Fit the uncertainties to votes, and write them beside a copy of the weights.

    Raises
    ------
    InputError
        If the catalogue, the labels or the weights can't be used, or too few galaxies have votes.
    """
    tree, weights = load_tree(config.tree), storage.absolute(config.weights)
    copied = storage.join(storage.absolute(config.output), storage.name(weights))
    if weights.endswith(ENSEMBLE_SUFFIX):
        raise InputError(f"{weights} is an ensemble; expected the weights of a single network")
    if copied == weights:
        raise InputError(f"output={config.output} is where the weights lie; name another folder")
    before = read_confidence(weights, check_model(weights, tree))
    table = read_votes(config.labels, tree)
    with progress("Reading the catalogue", open_snapshot(config.catalogue, tree).all_rows) as advance:
        labelled = read_labelled(config.catalogue, table, tree, advance)
    scored = galaxies_to_score(labelled, config.catalogue, weights)
    galaxies = scored.galaxies
    if len(galaxies) < FEWEST_HELD_OUT:
        raise InputError(
            f"{len(galaxies):,} galaxies of {config.catalogue} have votes in {config.labels} and weren't "
            f"trained on; uncertainties take at least {FEWEST_HELD_OUT}"
        )
    say(scored.summary)
    after = before.model_copy(
        update={
            "galaxies": len(galaxies),
            "concentrations": completed(
                concentrations_for(tree, galaxies.predicted, galaxies.votes), before.concentrations
            ),
            "coverage": crossed_coverage(tree, galaxies.predicted, galaxies.votes),
        }
    )
    for place in (card_uri, seen_uri, projection_uri, str):
        if storage.exists(place(weights)):
            storage.write_bytes(place(copied), storage.read_bytes(place(weights)))
    write_confidence(copied, after)
    _tell(galaxies, before.concentrations, after, copied)


def completed(fitted: Concentrations, before: Concentrations) -> Concentrations:
    """With what was known before of questions that too few of these galaxies were asked."""
    moved = np.subtract(fitted.mean_roots, before.mean_roots)
    kept = {
        key: fit.model_copy(update={"offset": fit.offset + float(moved @ np.array(fit.slopes))})
        for key, fit in before.questions.items()
        if key not in fitted.questions
    }
    return fitted.model_copy(update={"questions": fitted.questions | kept})


def _tell(galaxies: Labelled, before: Concentrations, after: Confidence, copied: str) -> None:
    """Print how many votes the intervals hold, question by question."""
    tree = galaxies.tree
    table = Table.grid(padding=(0, 2))
    table.add_row("  question", "galaxies", "votes within 90 %: before", "after")
    for key, share in after.coverage.items():
        of = asked_of(tree, key, galaxies.votes)
        held = question_coverage(tree, key, before, galaxies.predicted[of], galaxies.votes[of])
        table.add_row(f"  {key}", f"{int(of.sum()):,}", f"{held:.1%}", f"{share:.1%}")
    if logs_json():
        log_event("calibrated", weights=copied, galaxies=len(galaxies), coverage=after.coverage)
        return
    Console(highlight=False, soft_wrap=True).print(table)
    say("After: each fifth of the galaxies by uncertainties that were fitted to the others.")
    say(f"Weights: {copied}, with {storage.name(confidence_uri(copied))}")
