"""A run over a survey: all that it is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline import storage
from pipeline.network import Model, check_model
from pipeline.run.settings import Config, SurveyConfig, settled
from pipeline.streaming.reading import Reader, open_inventory
from pipeline.survey import Inventory, load_survey, recognise
from pipeline.tree import DecisionTree, load_tree

Config_co = TypeVar("Config_co", bound=SurveyConfig, covariant=True)


@dataclass(frozen=True)
class Run(Generic[Config_co]):
    """What a run is made from, each part opened and checked.

    Attributes
    ----------
    config
        What the user said, with what depends on the machine settled.
    tree, model
        The decision tree, and the network or ensemble that answers it.
    source
        Where the cutouts come from.
    """

    config: Config_co
    tree: DecisionTree
    model: Model
    source: Inventory


def prepare(config: Config) -> Run[Config]:
    """Open and check what the settings name.

    Raises
    ------
    InputError
        If the survey file, the weights or the tree can't be used.
    """
    config = settled(config)
    tree = load_tree(config.tree)
    return Run(config, tree, check_model(config.weights, tree), source_of(config))


def source_of(config: SurveyConfig) -> Inventory:
    """What reads the cutouts that the settings name: a cutout set, or a survey's own files."""
    if config.survey is None:
        return open_inventory()
    survey = load_survey(config.survey)
    if survey.table is not None:
        survey = survey.model_copy(update={"table": storage.absolute(survey.table)})
    reader = Reader()
    return open_inventory(recognise(survey, config.input, reader.holds_bands), reader)
