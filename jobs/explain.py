"""Explain: what a network looks at, found in one pass over a survey."""

from __future__ import annotations

from pipeline import storage
from pipeline.config import dump_config
from pipeline.console import say
from pipeline.evaluation import read_votes
from pipeline.network import load_network, member_weights
from pipeline.report.document import write_document
from pipeline.report.explanation import explanation_sections
from pipeline.run.looking import ExplainConfig, check_units, look, named_galaxies
from pipeline.run.planning import plan_shards
from pipeline.run.run import prepare
from pipeline.run.settings import with_absolute_paths


def run(config: ExplainConfig) -> None:
    """Look at every galaxy once, then closer at the chosen ones, and write the page.

    Raises
    ------
    InputError
        If the input, the weights, the tree or the labels can't be used, or a galaxy or unit isn't there.
    """
    config = with_absolute_paths(config)
    config = config.model_copy(update={"weights": member_weights(config.weights, config.member)})
    prepared = prepare(config)
    network, _ = load_network(config.weights, prepared.tree)
    check_units(config.units, network)
    votes = None if config.labels is None else read_votes(config.labels, prepared.tree)
    shards = plan_shards(prepared)
    explanation, galaxies = look(prepared, network, shards, votes, named_galaxies(prepared, shards, votes))
    page = write_document(
        config.output,
        config.title,
        f"Of network {explanation.network}, over {galaxies:,} galaxies, each seen as it is.",
        explanation_sections(explanation),
        facts=[(f"{galaxies:,}", "galaxies"), (f"{network.last.in_features:,}", "units of the last layer")],
    )
    storage.write_bytes(storage.join(config.output, "config.yaml"), dump_config(config).encode())
    say(f"Report:    {page}")
