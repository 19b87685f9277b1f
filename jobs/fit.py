"""Fit: a new task from few labels, and its answers over a whole catalogue."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.representations import open_embeddings
from pipeline.representations.labels import read_labels
from pipeline.representations.probe import PROBE_FILE, read_probe
from pipeline.run.answering import answer
from pipeline.tree import GALAXY_ZOO_2, load_tree


class FitConfig(StrictModel):
    """What `tuningfork fit` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output made with ``embedding=true``.
    output
        Where the probe, its answers and the page go.
    labels
        CSV with ``object_id`` and a column of labels: yes or no, fractions from 0 to 1, or names of classes.
    column
        The column of labels, if the table has several.
    probe
        Instead of labels: the output of an earlier `fit`, whose probe is applied to this catalogue.
    tree
        The decision tree whose answers the catalogue holds.
    as_of
        Version, or date and time, of an older snapshot; the current one if not given.
    galaxies
        At most how many galaxies of each kind are shown.
    seed
        Seed for drawing the held-out galaxies.
    """

    catalogue: TablePlace
    output: Output
    labels: str | None = None
    column: str | None = None
    probe: str | None = None
    tree: TreeFile = str(GALAXY_ZOO_2)
    as_of: str | None = None
    galaxies: int = Field(default=24, gt=0, le=500)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> FitConfig:
        if (self.labels is None) == (self.probe is None):
            raise ValueError(
                "give either labels=CSV, to learn from, or probe=DIR, to answer with what was learnt before"
            )
        return self


def run(config: FitConfig) -> None:
    """Learn a probe, or read one; write its answers for the whole catalogue.

    Raises
    ------
    InputError
        If the catalogue, the labels or the probe can't be used.
    """
    output = storage.absolute(config.output)
    embeddings = open_embeddings(config.catalogue, load_tree(config.tree), config.as_of)
    if config.probe is not None:
        probe, uri = read_probe(config.probe)
        probe.check(embeddings, uri)
        rows, answers_uri, _ = answer(embeddings, probe, output, config.galaxies)
        say(f"Answers: {rows:,} galaxies in {answers_uri}")
        return
    labels = read_labels(str(config.labels), config.column)
    # scikit-learn takes seconds to load: only settings that are sound pay for it.
    from pipeline.run.probing import fit, write_page

    fitted = fit(embeddings, labels, output, config.seed)
    score = fitted.probe.score
    say(
        f"{fitted.probe.column} from {fitted.probe.labels:,} labels: {score.accuracy:.1%} of the held-out "
        f"galaxies are right, AUROC {score.auroc:.3f}"
    )
    rows, answers_uri, shown = answer(embeddings, fitted.probe, output, config.galaxies)
    page = write_page(embeddings, fitted, shown, rows, output)
    say(f"Probe:   {storage.join(output, PROBE_FILE)}")
    say(f"Answers: {rows:,} galaxies in {answers_uri}")
    say(f"Report:  {page}")
