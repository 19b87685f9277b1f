"""The settings of a run over a whole survey."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from pipeline import storage
from pipeline.averaging import Precision
from pipeline.clumps.weights import CLUMPS
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
        A folder of JPEG and PNG images with one galaxy at the centre of each, or a cutout set; with `survey`,
        cutouts in the survey's own format. A folder, prefix or file (any fsspec URI).
    output
        Where the results go (any fsspec URI).
    survey
        A survey file, which describes the format of the cutouts, or the name of one that comes with
        Tuningfork: ``sdss``, ``legacy``, ``lsst`` or ``hubble``.
    weights, tree
        A network's weight file or an ensemble (``NAME.ensemble.json``), and the decision tree whose questions
        it answers.
    precision
        Data type of the network's computations. ``auto`` is float16 on GPUs, bfloat16 on CPUs that are faster
        with it, and float32 elsewhere; "Precision" in the documentation says how much answers change.
        ``tf32`` is float32 with products of lower precision, on GPUs.
    unit_rows
        Most galaxies in a work unit: what is in memory at a time, and what is lost when a machine dies. If
        not given, it is 1,024 if GPUs decode, which need more at a time to be kept busy, and galaxies take at
        most 64 KiB of storage on average. It is an eighth of the set if that has fewer than eight units, so
        that there is progress to see.
    decode_actors
        How many processes read and decode images; by default, as many as suit the cluster.
    model_actors
        How many processes run the network; by default one for each GPU, or for each machine if there are no
        GPUs.
    model_threads
        CPU cores that each of these processes uses; by default all of a machine's, if there are no GPUs.
    device
        ``auto`` uses GPUs if the cluster has any or can add some; ``gpu`` requires them, ``cpu`` doesn't use
        them.
    node_wait
        Seconds to wait for nodes, if the cluster's autoscaler has none running.
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
        Folder of a survey's images, instead of `input`: galaxies are cut out of them at `positions`, and the
        cutouts aren't saved. The settings of `tuningfork cut` describe the images.
    positions
        For a folder of images, a CSV with the columns ``name, ra, dec`` (degrees); names are those of the
        files, without extension. For `tiles`, a FITS, VOTable, CSV or Parquet table with ``object_id, ra,
        dec``.
    title
        Title of the report; a refresh keeps that of the run before.
    transforms
        60 for the mean over sixty transforms, which is always computed in float32; 1 for a single view.
    decoder
        What decodes JPEGs: ``cpu`` or ``gpu``. The GPU decodes several times as many a second, and changes a
        pixel by at most 9 of 255 levels. ``auto`` is gpu if networks run on GPUs and TorchCodec is installed,
        unless galaxies are measured first. PNG, FITS and progressive JPEGs are always decoded on the CPU.
    uncertainty
        Whether to write how sure answers are: bounds that hold 90 % of vote fractions, how many volunteers an
        answer is worth, and how unlike the training set each image is.
    embedding
        Whether to write a vector of each galaxy, for finding similar galaxies; it doesn't depend on the
        galaxy's orientation.
    rejection
        Whether to write if an image shows a galaxy at all, and what else it shows: a star, a blend of stars,
        a trail, light of a saturated star, or nothing. Images are then decoded on CPUs.
    clumps
        Whether to find each galaxy's giant star-forming clumps; `tuningfork detect` does, and makes a page
        of them.
    clump_weights
        Weight file of the detector that finds them.
    report_galaxies
        At most how many galaxies the report shows one by one.
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
    clumps: bool = False
    clump_weights: WeightsFile = CLUMPS
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
        for name in ("input", "output", "weights", "tree", "tiles", "positions", "clump_weights")
        if getattr(config, name, None)
    ]
    places = {name: storage.absolute(getattr(config, name)) for name in names}
    return config.model_copy(update=places)
