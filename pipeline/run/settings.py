"""The settings of a run over a whole survey."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from pipeline import storage
from pipeline.averaging import Precision
from pipeline.config import StrictModel, parse_yaml
from pipeline.cutting.settings import TileSettings
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.places import Output, SurveyFile, TablePlace, TreeFile, WeightsFile
from pipeline.protocol import RunLayout
from pipeline.protocol.records import read_plans
from pipeline.streaming.decoders import DecoderName
from pipeline.tree import GALAXY_ZOO_2


class SurveyConfig(StrictModel):
    """What every verb takes that goes over a whole survey: its input, its network, and its resources.

    Attributes
    ----------
    input
        A folder of JPEG and PNG images, one galaxy in the middle of each; or a cutout shard set, or with
        `survey` cutouts as a survey has them: folder, prefix or file (any fsspec URI).
    output
        Where the results go (any fsspec URI).
    survey
        A survey file, which says how the cutouts are kept, or the name of one that comes along: ``sdss``,
        ``legacy``, ``lsst`` or ``hubble``.
    weights
        A network's weight file, or an ensemble (``NAME.ensemble.json``).
    tree
        The decision tree that the network answers.
    precision
        Data type that the network computes in. ``auto`` is float16 on GPUs, bfloat16 on CPUs that compute
        faster in it, and float32 elsewhere; see "Precision" in the documentation for how far answers move.
        ``tf32`` is float32 with shorter products, on GPUs.
    unit_rows
        Most galaxies in a work unit: what is in memory at a time, and what is lost when a machine dies. If
        not given, it is 1,024 where GPUs decode and galaxies take at most 64 KiB of storage on average, for
        GPUs need many at a time; and in a small set an eighth of all galaxies, so that progress shows.
    decode_actors
        How many processes read and decode images; derived from the cluster if not given.
    model_actors
        How many processes run the network; if not given, one for each GPU, or without GPUs for each machine.
    model_threads
        Cores for each process that runs the network; if not given, all of a machine's without GPUs.
    device
        ``auto`` takes GPUs where the cluster has any or can add some; ``gpu`` demands them, ``cpu`` leaves
        them alone.
    node_wait
        Seconds that a run waits for the nodes that it asks the cluster's autoscaler for.
    """

    input: str
    output: Output
    survey: SurveyFile = None
    weights: WeightsFile = DEFAULT_WEIGHTS
    tree: TreeFile = str(GALAXY_ZOO_2)
    precision: Literal["auto"] | Precision = "auto"
    unit_rows: int = Field(default=256, gt=0, le=4096)
    decode_actors: int | None = Field(default=None, gt=0)
    model_actors: int | None = Field(default=None, gt=0)
    model_threads: int | None = Field(default=None, gt=0)
    device: Literal["auto", "cpu", "gpu"] = "auto"
    node_wait: float = Field(default=900, ge=0)


class StreamConfig(TileSettings, SurveyConfig):
    """What `tuningfork classify` and `tuningfork refresh` take beside the settings of every survey run.

    Attributes
    ----------
    tiles
        Folder of a survey's images, in the place of `input`: galaxies are cut out of them at `positions`,
        and no cutout is written. The settings of `tuningfork cut` say how the images are kept.
    positions
        Of a folder of images: CSV with columns ``name, ra, dec`` (degrees); names are those of the files,
        without their suffix. Of tiles: FITS, VOTable, CSV or Parquet with ``object_id, ra, dec``.
    title
        Title of the report; a refresh keeps the title of the run before.
    transforms
        60 for the mean over sixty transforms, which is taken in float32 always; 1 for the view as it is.
    decoder
        What decodes JPEGs: ``cpu``, or ``gpu``, which decodes several times as many a second, and moves a
        pixel by at most 9 of 255 levels. ``auto`` is gpu where networks are computed on GPUs and TorchCodec
        is there, unless galaxies are measured first. PNG, FITS and progressive JPEGs are the CPU's always.
    uncertainty
        Whether the catalogue says how sure answers are: bounds between which 90 % of vote shares are, how
        many volunteers an answer is worth, and how unlike the training pictures each picture is.
    embedding
        Whether the catalogue has a vector of each galaxy: what the network sees in it, however it is turned.
    rejection
        Whether the catalogue says if a picture has a galaxy at all, and what else it shows: a star, a blend
        of stars, a trail, a saturated star's light, or nothing. Pictures are then decoded on CPUs.
    report_galaxies
        Most galaxies that the report shows one by one.
    """

    output: TablePlace
    tiles: str | None = None
    positions: str | None = None
    title: str = "Galaxy morphology"
    transforms: Literal[60, 1] = 60
    decoder: Literal["auto"] | DecoderName = "auto"
    uncertainty: bool = False
    embedding: bool = False
    rejection: bool = False
    report_galaxies: int = Field(default=400, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _tiles_are_the_input(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("tiles") is not None:
            return {"input": values["tiles"]} | values
        return values

    @model_validator(mode="after")
    def _check_tile_settings(self) -> Self:
        if self.tiles is None:
            stray = [
                name
                for name, field in TileSettings.model_fields.items()
                if getattr(self, name) != field.get_default(call_default_factory=True)
            ]
            if stray:
                raise ValueError(f"{stray[0]} is of images to cut galaxies from; name their folder as tiles")
        elif self.input != self.tiles:
            raise ValueError(f"input is {self.input!r} and tiles {self.tiles!r}; give one of them")
        elif self.positions is None:
            raise ValueError("tiles needs positions, the table of what is to be cut out of them")
        return self


def titled_as_before(config: StreamConfig) -> StreamConfig:
    """The configuration with the title of the output's newest run, where it gives none."""
    if "title" in config.model_fields_set:
        return config
    for plan in read_plans(config.output):
        uri = storage.join(RunLayout(config.output, plan.run).folder, "config.yaml")
        if storage.exists(uri):
            title = parse_yaml(storage.read_bytes(uri), uri).get("title", config.title)
            return config.model_copy(update={"title": title})
    return config


Config = TypeVar("Config", bound=SurveyConfig)


def with_absolute_paths(config: Config) -> Config:
    """The settings with absolute paths, for workers have working directories of their own."""
    names = [
        name
        for name in ("input", "output", "weights", "tree", "tiles", "positions")
        if getattr(config, name, None)
    ]
    places = {name: storage.absolute(getattr(config, name)) for name in names}
    return config.model_copy(update=places)
