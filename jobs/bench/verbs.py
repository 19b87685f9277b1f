"""The verbs `tuningfork bench …`."""

from __future__ import annotations

import typer

from jobs.verb import takes
from jobs.words import ConfigFile, PrintConfig, Words, configure

bench = typer.Typer(no_args_is_help=True, help="Measure speed; prints JSON.")


@bench.command("averaging", cls=takes("jobs.bench.averaging.AveragingBenchConfig"))
def bench_averaging(
    words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False
) -> None:
    """Time the mean over 60 transforms: shared convolutions, against 60 passes of the float32 network."""
    from jobs.bench import averaging as job

    job.run_averaging(configure(job.AveragingBenchConfig, config, words, print_config))


@bench.command("decode", cls=takes("jobs.bench.decode.DecodeBenchConfig"))
def bench_decode(words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Time the decoding of a work unit of JPEG cutouts, on one core."""
    from jobs.bench import decode as job

    job.run(configure(job.DecodeBenchConfig, config, words, print_config))


@bench.command("stream", cls=takes("jobs.bench.stream.StreamBenchConfig"))
def bench_stream(words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Time a whole run on this machine, against the model alone; `model=identity` leaves the model out."""
    from jobs.bench import stream as job

    job.run(configure(job.StreamBenchConfig, config, words, print_config))


@bench.command("training", cls=takes("jobs.bench.training.TrainingBenchConfig"))
def bench_training(words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Time training steps on this device, including augmentation; doesn't need Ray."""
    from jobs.bench import training as job

    job.run(configure(job.TrainingBenchConfig, config, words, print_config))


@bench.command("ensemble", cls=takes("jobs.bench.averaging.EnsembleBenchConfig"))
def bench_ensemble(words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Time several networks on the same viewpoints, against one network after another."""
    from jobs.bench import averaging as job

    job.run_ensemble(configure(job.EnsembleBenchConfig, config, words, print_config))
