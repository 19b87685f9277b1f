"""A run over a survey: all that it is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pipeline import storage
from pipeline.averaging import Precision
from pipeline.clumps.weights import DetectorCard, read_detector_card
from pipeline.confidence.document import Confidence, read_confidence
from pipeline.network import Model, check_model, member_weights
from pipeline.representations import Projection, read_projection
from pipeline.run.decoder import with_decoder
from pipeline.run.pictures import pictures_of, refuse_positions
from pipeline.run.precision import automatic_precision, check_gpus
from pipeline.run.settings import Config, StreamConfig, SurveyConfig, with_absolute_paths
from pipeline.run.tiles import survey_of_tiles
from pipeline.streaming.decoders import DecoderName
from pipeline.streaming.reading import Reader, open_inventory
from pipeline.survey import Inventory, load_survey, recognise
from pipeline.tree import DecisionTree, load_tree

if TYPE_CHECKING:
    from pipeline.streaming import StreamSettings

Config_co = TypeVar("Config_co", bound=SurveyConfig, covariant=True)


@dataclass(frozen=True)
class Run(Generic[Config_co]):
    """What a run is made from, each part opened and checked.

    Attributes
    ----------
    config
        The settings, with paths made absolute and every ``auto`` resolved for this machine.
    tree, model
        The decision tree, and the network or ensemble that answers it.
    source
        Where the cutouts come from.
    confidence
        How sure answers are, where the catalogue is to say it.
    projection
        By which galaxies get embeddings, where the catalogue is to have them.
    detector
        The card of what finds clumps, where the catalogue is to have them.
    """

    config: Config_co
    tree: DecisionTree
    model: Model
    source: Inventory
    confidence: Confidence | None = None
    projection: Projection | None = None
    detector: DetectorCard | None = None

    @property
    def precision(self) -> Precision:
        """What the network is computed in."""
        return cast(Precision, self.config.precision)

    @property
    def decoder(self) -> DecoderName:
        """What decodes JPEGs."""
        return cast(DecoderName, self.config.decoder) if isinstance(self.config, StreamConfig) else "cpu"

    def stream_settings(self, index: str, transforms: int) -> StreamSettings:
        """What the stages of the stream are to do.

        Parameters
        ----------
        index
            The folder that the source's index was saved in.
        """
        from pipeline.streaming import StreamSettings

        return StreamSettings(
            weights=self.config.weights,
            weights_sha256=self.model.sha256,
            tree=self.config.tree,
            transforms=transforms,
            precision=self.precision,
            recentrings=self.model.recentrings,
            survey=self.source.survey,
            index=index,
            decoder=self.decoder,
            confidence=self.confidence,
            projection=self.projection,
            rejection=isinstance(self.config, StreamConfig) and self.config.rejection,
            clump_weights=None if self.detector is None else cast(StreamConfig, self.config).clump_weights,
        )


def _detector_of(config: SurveyConfig) -> DetectorCard | None:
    """The card of what finds clumps, where the settings ask for them."""
    if isinstance(config, StreamConfig) and config.clumps:
        return read_detector_card(config.clump_weights)
    return None


def prepare(config: Config, wait: bool = True) -> Run[Config]:
    """Open and check what the settings name.

    Parameters
    ----------
    wait
        Whether to wait for nodes that the cluster's autoscaler can add, where it matters if they have GPUs.

    Raises
    ------
    InputError
        If the survey file, the weights or the tree can't be used, GPUs can't decode what they are to, or the
        weights can't say how sure they are, or give embeddings, or there is no detector of clumps.
    """
    config = with_absolute_paths(config)
    tree = load_tree(config.tree)
    model, source = check_model(config.weights, tree), source_of(config)
    if config.precision == "auto":
        config = config.model_copy(update={"precision": automatic_precision(config, tree, wait)})
    check_gpus(config)
    sure, embedding = (
        (config.uncertainty, config.embedding) if isinstance(config, StreamConfig) else (False, False)
    )
    confidence = read_confidence(config.weights, model) if sure else None
    projection = read_projection(member_weights(config.weights), model.cards[0].sha256) if embedding else None
    looked_at = isinstance(config, StreamConfig) and config.rejection
    measured = (
        looked_at or bool(model.recentrings) or (source.survey is not None and source.survey.needs_pixels)
    )
    detector = _detector_of(config)
    return Run(with_decoder(config, measured, wait), tree, model, source, confidence, projection, detector)


def source_of(config: SurveyConfig) -> Inventory:
    """What reads the galaxies that the settings name: pictures, a cutout set, a survey's files, or tiles."""
    output = config.output if isinstance(config, StreamConfig) else None
    if isinstance(config, StreamConfig) and config.tiles is not None:
        return open_inventory(survey_of_tiles(config), output=output)
    if config.survey is None:
        return open_inventory(pictures_of(config))
    refuse_positions(config)
    survey = load_survey(config.survey)
    if survey.table is not None:
        survey = survey.model_copy(update={"table": storage.absolute(survey.table)})
    reader = Reader()
    return open_inventory(recognise(survey, config.input, reader.holds_bands), reader, output)
