"""The command line: `tuningfork VERB --config FILE key=value …`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobs import clumpy, generating, people, publishing, vectors
from jobs.arguments import Catalogue, ConfigFile, Overrides, PrintConfig, configure
from jobs.bench.verbs import bench
from jobs.cut import cut
from jobs.ending import exit_status
from jobs.ingest import ingest
from jobs.verb import takes
from jobs.zooniverse import zooniverse
from pipeline import __version__

app = typer.Typer(
    name="tuningfork",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Galaxy morphology for whole surveys: from image cutouts to a catalogue of the vote fractions of
    Galaxy Zoo 2's decision tree.

    Settings are written `key=value`, or a YAML file with the same keys (`--config FILE`); the former take
    precedence. `tuningfork VERB --help` lists all keys, `--print-config` prints their values. Start with:

    `tuningfork classify input=my_galaxies/ output=out/mine`
    """,
)
app.add_typer(ingest, name="ingest")
app.add_typer(bench, name="bench")
app.add_typer(zooniverse, name="zooniverse")
app.command(cls=takes("pipeline.cutting.settings.CutConfig"))(cut)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tuningfork {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    pass


DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done and stop.")]


@app.command(cls=takes("jobs.classify.ClassifyConfig"))
def classify(
    overrides: Overrides = None,
    config: ConfigFile = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Classify the galaxies of a survey.

    `tuningfork classify input=URI output=URI [survey=FILE] [weights=FILE] [transforms=60 or 1] …`

    INPUT is a folder of JPEG and PNG images, or a cutout set. With a survey file it may have any format in
    which surveys distribute cutouts: Parquet, HATS, WebDataset, HDF5, FITS or images. Some survey files come
    with Tuningfork: `survey=sdss`, `legacy`, `lsst`, `hubble`.

    With `tiles=FOLDER positions=TABLE` instead of `input`, it cuts the galaxies out of a survey's images,
    with the settings of `cut`, and saves no cutouts.

    Writes `OUTPUT/catalogue` (a Delta table) and `OUTPUT/report.html`. A run that was stopped continues when
    you give the same command again; if it is complete, nothing is done.
    """
    from jobs import classify as job

    job.run(configure(job.ClassifyConfig, config, overrides, print_config), dry_run)


@app.command(cls=takes("pipeline.run.settings.StreamConfig"))
def refresh(
    overrides: Overrides = None, config: ConfigFile = None, print_config: PrintConfig = False
) -> None:
    """Bring a catalogue up to date with its input.

    `tuningfork refresh --config FILE` or `tuningfork refresh input=URI output=URI …`, with the settings of
    `classify`.

    Classifies galaxies that are new or have changed, or all of them if something has changed that affects
    every answer, such as the weights or the tree; the rest is kept. Galaxies that are no longer in the input
    stay in the catalogue, marked in the column `stale`. The result is a new snapshot beside the older ones.
    If nothing has changed, nothing is written.
    """
    from jobs import refresh as job
    from pipeline.run.settings import StreamConfig

    job.run(configure(StreamConfig, config, overrides, print_config))


@app.command(cls=takes("pipeline.run.looking.ExplainConfig"))
def explain(
    overrides: Overrides = None, config: ConfigFile = None, print_config: PrintConfig = False
) -> None:
    """Show what a network looks at, in one pass over a survey.

    `tuningfork explain input=URI output=DIR [weights=FILE] [survey=FILE] [labels=CSV] [galaxy=ID]
    [viewpoint=0] [units=[3,7]] [occlude=[ID,ID]]`

    Shows the filters of the first layer, the activations of every layer for one galaxy and viewpoint, the
    galaxies that excite units of the last hidden layer most and least, occlusion maps, and with labels the
    hardest and the easiest galaxies. Of an ensemble, it shows one network: the first, or `member=NAME`.
    Writes `DIR/report.html`, with figures and tables beside it.
    """
    from jobs import explain as job
    from pipeline.run.looking import ExplainConfig

    job.run(configure(ExplainConfig, config, overrides, print_config))


@app.command()
def submit(
    verb: Annotated[str, typer.Argument(metavar="VERB", help="classify, detect, refresh or train.")],
    address: Annotated[
        str, typer.Option("--address", metavar="URL", help="Of the cluster's dashboard: http://HOST:8265.")
    ],
    overrides: Overrides = None,
    config: ConfigFile = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the job to its end.")] = True,
) -> int:
    """Run a verb as a job on a Ray cluster.

    `tuningfork submit classify input=s3://… output=s3://… --address http://HOST:8265`

    Takes the settings of the verb, also from its `--config` file. The code travels with the job; data and
    credentials don't. If a job with the same settings is already running, it is followed instead of started
    again. The exit status is that of the verb.
    """
    from jobs import submit as job

    return job.run(verb, overrides or (), config, address, wait)


@app.command(cls=takes("pipeline.training.weights.TrainConfig"))
def train(overrides: Overrides = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Train a network or an ensemble on labelled galaxies; run again, it continues.

    `tuningfork train data=DIR output=URI [recipe=FILE] [network=FILE | ensemble=FILE] [workers=N]`

    DIR holds a label table and images. The default is the Galaxy Challenge's layout:
    `training_solutions_rev1.csv` and `images_training_rev1/<GalaxyID>.jpg`. Writes the weights, a card with
    the recipe and the score on held-out galaxies, and checkpoints and logs. `--config` also takes a recipe,
    such as `--config quick`.
    """
    from jobs import train as job
    from pipeline.training.weights import TrainConfig

    job.run(configure(TrainConfig, *job.recipe_as_setting(config, overrides or ()), print_config))


@app.command(cls=takes("jobs.export.ExportConfig", "catalogue", "out", "format", "as_of", "columns", "names"))
def export(
    catalogue: Catalogue,
    out: Annotated[str, typer.Argument(metavar="OUT", help="File to write; for `hats`, a folder.")],
    overrides: Overrides = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="csv, kaggle, parquet, fits, votable or hats; by default, by the ending of OUT."
        ),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Version, or date and time (UTC), of an older snapshot.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="cumulative (fractions of all volunteers), conditional (of those who are asked), or both.",
        ),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            "--names", help="Column names of another survey: galaxy_zoo_decals, euclid, or a crosswalk file."
        ),
    ] = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Write a catalogue, or a region of it, for other programs.

    `tuningfork export CATALOGUE OUT --format fits [cone=RA,DEC,RADIUS]`

    `csv`, `parquet`, `fits` and `votable` are single files; `hats` is a folder partitioned by HEALPix, for
    LSDB (`partition_rows=250000`); `kaggle` is the Galaxy Challenge's layout. A region is one of
    `cone=RA,DEC,RADIUS`, `box=RA1,RA2,DEC1,DEC2` (degrees) and `pixels=ORDER/N,N-M` (HEALPix, nested).
    """
    from jobs import export as job

    options = {"format": form, "as_of": as_of, "columns": columns, "names": names}
    arguments = {"catalogue": catalogue, "out": out} | {key: value for key, value in options.items() if value}
    job.run(configure(job.ExportConfig, config, overrides, print_config, **arguments))


app.command(cls=takes("jobs.publish.PublishConfig", "catalogue", "out"))(publishing.publish)


@app.command(cls=takes("jobs.compare.CompareConfig", "catalogue", "other", "as_of"))
def compare(
    catalogue: Annotated[
        str, typer.Argument(metavar="CATALOGUE", help="Folder `catalogue` of an output: the earlier one.")
    ],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The later one; may be the same folder.")],
    overrides: Overrides = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="WHEN", help="Version of CATALOGUE, or date and time.")
    ] = None,
) -> None:
    """Compare two catalogues of the same galaxies: answers, classes, and who changed most.

    `tuningfork compare before/catalogue after/catalogue output=DIR [galaxies=48] [other_as_of=WHEN]`

    `tuningfork compare out/catalogue out/catalogue --as-of 1 output=DIR`

    Writes `report.html`, with its tables and figures beside it.
    """
    from jobs import compare as job

    arguments = {"catalogue": catalogue, "other": other} | ({"as_of": as_of} if as_of else {})
    job.run(configure(job.CompareConfig, None, overrides, False, **arguments))


@app.command(cls=takes("jobs.triage.TriageConfig", "catalogue"))
def triage(
    catalogue: Catalogue,
    overrides: Overrides = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Decide which answers can be kept, and which galaxies people should look at.

    `tuningfork triage CATALOGUE labels=CSV output=DIR [target=0.95] [questions=[bar,odd]]`

    From the votes in CSV it learns, for each question, above which confidence answers are right as often as
    `target` asks. Writes `settled.parquet`, `worklist.parquet`, a report, and the least confident galaxies as
    a subject set for the Zooniverse (`subjects/manifest.csv` and images).
    """
    from jobs import triage as job

    job.run(configure(job.TriageConfig, config, overrides, print_config, catalogue=catalogue))


@app.command(cls=takes("jobs.evaluate.EvaluateConfig", "catalogue"))
def evaluate(
    catalogue: Catalogue,
    overrides: Overrides = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Measure a catalogue against the votes of volunteers.

    `tuningfork evaluate CATALOGUE labels=CSV output=DIR [others.single_view=CATALOGUE …]`

    CSV has the columns `GalaxyID, Class1.1, …`, or `object_id` (or `objid`) and the catalogue's own. Ids are
    compared exactly; galaxies without votes are left out. Writes `DIR/report.html`, with its tables (CSV) and
    figures (SVG, PNG) beside it.
    """
    from jobs import evaluate as job

    job.run(configure(job.EvaluateConfig, config, overrides, print_config, catalogue=catalogue))


@app.command(cls=takes("jobs.calibrate.CalibrateConfig", "catalogue"))
def calibrate(
    catalogue: Catalogue,
    overrides: Overrides = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Fit the uncertainties of weights to votes for galaxies of your own.

    `tuningfork calibrate CATALOGUE labels=CSV weights=FILE output=DIR`

    Other images and other volunteers need wider or narrower intervals. Writes a copy of the weights to DIR
    whose 90 % intervals hold 90 % of these votes; predictions stay the same. Use it as
    `weights=DIR/NAME.safetensors uncertainty=true`.
    """
    from jobs import calibrate as job

    job.run(configure(job.CalibrateConfig, config, overrides, print_config, catalogue=catalogue))


app.command(cls=takes("jobs.detect.DetectConfig"))(clumpy.detect)
app.command(cls=takes("jobs.clumps.ClumpsConfig", "catalogue", "out", "format"))(clumpy.clumps)
app.command(cls=takes("jobs.imagine.ImagineConfig"))(generating.imagine)
app.command(cls=takes("jobs.votes.VotesConfig"))(people.votes)
app.command(cls=takes("jobs.consensus.ConsensusConfig", "votes"))(people.consensus)
app.command(cls=takes("jobs.debias.DebiasConfig", "table"))(people.debias)
app.command(cls=takes("jobs.loop.LoopConfig", "catalogue"))(people.loop)
app.command(cls=takes("jobs.similar.SimilarConfig", "catalogue"))(vectors.similar)
app.command(cls=takes("jobs.index.IndexConfig", "catalogue"))(vectors.index)
app.command("map", cls=takes("jobs.map.MapConfig", "catalogue"))(vectors.map_galaxies)
app.command(cls=takes("jobs.fit.FitConfig", "catalogue"))(vectors.fit)
app.command(cls=takes("jobs.discover.DiscoverConfig", "catalogue"))(vectors.discover)


Output = Annotated[str, typer.Argument(metavar="OUTPUT", help="What `classify` wrote to (any fsspec URI).")]


@app.command(cls=takes("jobs.verify.VerifyConfig", "output"))
def verify(output: Output, overrides: Overrides = None) -> None:
    """Recount an output: every galaxy once in the catalogue, or once in the quarantine.

    Prints one line for each finding, and a verdict. The exit status is 1 if there is any finding, and 2 if
    the output couldn't be recounted.
    """
    from jobs import verify as job

    raise typer.Exit(job.run(configure(job.VerifyConfig, None, overrides, output=output)))


@app.command()
def status(
    output: Output,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Show the progress of an output's runs: units, galaxies, rate, time left."""
    from jobs import status as job

    job.run(configure(job.StatusConfig, None, None, output=output), as_json)


@app.command(cls=takes("jobs.vacuum.VacuumConfig", "output"))
def vacuum(output: Output, overrides: Overrides = None, dry_run: DryRun = False) -> None:
    """Remove what no run needs: orphaned files, leftovers of killed writes, old catalogue files.

    `tuningfork vacuum OUTPUT [grace=24h] [parts=true] [history=true]`

    Files younger than `grace` are kept. `parts=true` also removes the parts of committed runs. `history=true`
    also removes files that only older snapshots need, once they are past the Delta table's retention time (a
    week); those snapshots can then no longer be read.
    """
    from jobs import vacuum as job

    job.run(configure(job.VacuumConfig, None, overrides, output=output), dry_run)


def main(arguments: list[str] | None = None) -> None:
    """Run a verb; exits with 0 done, 1 failure, 2 bad input or usage, 3 output held by someone else.

    A signal that ends it gives 128 and the signal's number, as shells have it.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(exit_status(lambda: app(arguments, standalone_mode=False)))


if __name__ == "__main__":
    main()
