"""Evaluate: a catalogue against the votes of volunteers, as the paper's results section."""

from __future__ import annotations

from pydantic import Field
from rich.console import Console
from rich.table import Table

from pipeline.catalogue.export import open_snapshot
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.evaluation import Results, measure, read_votes
from pipeline.evaluation.labelled import read_labelled, scores_on_common
from pipeline.logs import log_event, logs_json
from pipeline.places import Output, TablePlace, TreeFile, WeightsFile
from pipeline.report.document import write_document
from pipeline.report.evaluation import evaluation_sections
from pipeline.report.judged import gallery_of
from pipeline.run.cutouts import readable_cutouts, reader_of
from pipeline.run.extremes import extreme_galaxies
from pipeline.run.seen import Judged, judge_by
from pipeline.tree import GALAXY_ZOO_2, load_tree


class EvaluateConfig(StrictModel):
    """What `tuningfork evaluate` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output.
    labels
        CSV of vote fractions: ``GalaxyID, Class1.1, …`` or ``object_id, <question>_<answer>, …``.
    output
        Folder for ``report.html``, ``tables`` and ``figures``.
    tree
        The decision tree whose answers the catalogue and the labels hold.
    title
        Title of the page.
    name
        Name of the catalogue in comparisons. The rows of the paper are ``single_view``, ``transforms`` and
        ``ensemble``.
    others
        Further catalogues of the same galaxies to score for comparison, by name: ``others.single_view=URI``.
    pictures
        How many of the hardest and of the easiest galaxies are shown.
    shown
        At most how many galaxies the gallery has.
    weights
        The weights that made the catalogue. Galaxies on whose images they were trained are left out, if the
        weights have a list of these.
    include_seen
        Whether to include these galaxies.
    """

    catalogue: TablePlace
    labels: str
    output: Output
    tree: TreeFile = str(GALAXY_ZOO_2)
    title: str = "Evaluation"
    name: str = "this catalogue"
    others: dict[str, TablePlace] = Field(default_factory=dict)
    pictures: int = Field(24, ge=0, le=200)
    shown: int = Field(400, ge=0, le=2_000)
    weights: WeightsFile = Field("compact", validate_default=True)
    include_seen: bool = False


def run(config: EvaluateConfig) -> None:
    """Write the report, and print what it comes to.

    Raises
    ------
    InputError
        If a catalogue and the labels don't fit each other or the tree; see
        `pipeline.evaluation.labelled.read_labelled`.
    """
    if config.name in config.others:
        raise InputError(f"others.{config.name} has the catalogue's own name; give one of them another")
    tree, table = load_tree(config.tree), read_votes(config.labels, load_tree(config.tree))
    read = {}
    for name, uri in {config.name: config.catalogue, **config.others}.items():
        with progress(f"Reading {name}", open_snapshot(uri, tree).all_rows) as advance:
            read[name] = read_labelled(uri, table, tree, advance)
    named = "weights" in config.model_fields_set
    judged = judge_by(read[config.name], config.catalogue, config.weights, named, config.include_seen)
    own = read[config.name] = judged.galaxies
    results = measure(tree, own.predicted, own.votes, own.uncertainty)
    scores = scores_on_common(read, results.score)
    extremes = extreme_galaxies(config.catalogue, own, results, config.pictures)
    reader = reader_of(config.catalogue)
    gallery = gallery_of(own, lambda places: readable_cutouts(places, reader), config.shown)
    for_galaxies = f"{len(own):,} galaxies of {config.catalogue} that {config.labels} has votes for"
    page = write_document(
        config.output,
        config.title,
        f"Predicted vote fractions miss those of volunteers by {results.score.rmse:.4f} (root mean square); "
        f"a constant answer misses them by {results.constant:.4f}.",
        evaluation_sections(results, scores, own.ids, extremes, [gallery]),
        kicker=f"{tree.name.replace('_', ' ').title()} evaluation",
        facts=[*((value, name) for name, value in headline(results)), *judged.facts],
        caveat=f"Over the {for_galaxies}. {own.unlabelled:,} more of the catalogue have none and are left "
        f"out; {own.unmatched:,} with votes aren’t in the catalogue.\n\n"
        f"{judged.told} Figures are honest only for galaxies that the network wasn’t trained on.",
    )
    _tell(results, judged, page)


def headline(results: Results) -> list[tuple[str, str]]:
    """The few figures that tell most, each with its name."""
    first, score = results.questions[0], results.score
    sure = [] if results.uncertainty is None else results.uncertainty.questions[:1]
    return [
        ("RMSE", f"{score.rmse:.4f}"),
        ("its 95 % interval", f"{score.low:.4f} – {score.high:.4f}"),
        ("RMSE of mean votes, of the majority", f"{results.constant:.4f}, {results.majority:.4f}"),
        ("accuracy on the first question", f"{100 * first.asked.accuracy:.1f} %"),
        ("its calibration error against vote shares", f"{first.share_error:.4f}"),
        *(("of its votes within 90 % intervals", f"{100 * first.coverage:.1f} %") for first in sure),
        ("galaxies", f"{score.galaxies:,}"),
    ]


def _tell(results: Results, judged: Judged, page: str) -> None:
    if logs_json():
        facts = {"unlabelled": judged.galaxies.unlabelled, "seen": judged.seen}
        log_event("evaluated", report=page, **facts, **dict(headline(results)))
        return
    say(judged.told)
    table = Table.grid(padding=(0, 2))
    for label, value in headline(results):
        table.add_row(f"  {label}", value)
    Console(highlight=False, soft_wrap=True).print(table)
    say(f"Report:    {page}")
