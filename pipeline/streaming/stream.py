"""The whole stream, as one Ray Data pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset, ExecutionResources
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError, WorkerCrashedError

from pipeline.averaging import Precision
from pipeline.confidence.document import Confidence
from pipeline.errors import InputError, RunError
from pipeline.protocol import LedgerEntry, RunLayout, WorkUnit
from pipeline.representations import Projection
from pipeline.streaming.cluster import StreamResources
from pipeline.streaming.decode import DecodeActor
from pipeline.streaming.decoders import DecoderName
from pipeline.streaming.limits import DecodeLimits
from pipeline.streaming.model import ModelActor
from pipeline.streaming.ray_internals import map_blocks_on_gpus
from pipeline.streaming.rows import DecodeSettings
from pipeline.streaming.sink import SinkActor
from pipeline.survey.settings import SurveySettings

_MODEL_RESTARTS = 3
_TASK_RETRIES = 100
"""A call to an actor whose node has just died fails about once a second until the loss is noticed (10 s)."""

_DECODE_RESTARTS = 50
"""Inputs that kill a decode actor take one restart of it (see `DecodeActor`); the rest is for lost nodes."""

_SINK_RESTARTS = 10

_TOLD_AT_START = re.compile(
    r"^(?:pipeline\.errors\.)(InputError|RunError|StorageTrouble): (.*)$", re.MULTILINE
)
"""What an actor couldn't start for: Ray gives it as text only."""


_WHOLE_UNITS: dict[str, Any] = {
    "batch_size": None,
    "batch_format": "pyarrow",
    "max_task_retries": _TASK_RETRIES,
}

_CONTINUES = "what is finished is kept: run the same command again to continue"


class StreamError(RunError):
    """The stream came to an end before its units did; run again, it continues."""


@dataclass(frozen=True)
class StreamSettings:
    """What the stages of a stream are to do.

    Attributes
    ----------
    weights, weights_sha256, tree
        URIs of weights and tree, and the hash that goes into the catalogue.
    transforms
        60 or 1.
    precision
        That the network is computed in.
    recentrings
        Thresholds by which galaxies are recentred (see `pipeline.network.Model`).
    survey, index
        See `pipeline.streaming.sources.open_source`.
    decoder
        ``gpu`` where plain JPEGs go as they are to the model stage, which decodes them.
    confidence
        By which rows say how sure their answers are, if they are to.
    projection
        By which rows have embeddings, if they are to.
    rejection
        Whether rows say if the picture has a galaxy.
    clump_weights
        URI of the detector by which rows have their clumps, if they are to.
    """

    weights: str
    weights_sha256: str
    tree: str
    transforms: int
    precision: Precision
    recentrings: tuple[float, ...] = ()
    survey: SurveySettings | None = None
    index: str | None = None
    decoder: DecoderName = "cpu"
    confidence: Confidence | None = None
    projection: Projection | None = None
    rejection: bool = False
    clump_weights: str | None = None


def stream_units(
    units: Sequence[WorkUnit],
    layout: RunLayout,
    settings: StreamSettings,
    resources: StreamResources,
    limits: DecodeLimits | None = None,
) -> Iterator[LedgerEntry]:
    """Classify units, yielding the ledger's entry of each once its rows are durable.

    See `unit_stream` and `finished_units`.
    """
    if units:
        yield from finished_units(unit_stream(units, layout, settings, resources, limits))


def unit_stream(
    units: Sequence[WorkUnit],
    layout: RunLayout,
    settings: StreamSettings,
    resources: StreamResources,
    limits: DecodeLimits | None = None,
    model: type = ModelActor,
) -> Dataset:
    """Lay out the stream from units to rows of their ledger entries; nothing runs yet.

    See `galaxy_stream`.

    Parameters
    ----------
    units
        At least one.
    model
        The model stage, called as `ModelActor` is.
    """
    return galaxy_stream(
        units,
        settings,
        resources,
        model,
        limits,
        transforms=settings.transforms,
        decoder=settings.decoder,
        familiarity=None if settings.confidence is None else settings.confidence.familiarity,
        projection=settings.projection,
        clump_weights=settings.clump_weights,
    ).map_batches(
        SinkActor,
        compute=ActorPoolStrategy(size=min(resources.sink_actors, len(units))),
        fn_constructor_kwargs={
            "layout": layout,
            "tree": settings.tree,
            "weights_sha256": settings.weights_sha256,
            "concentrations": None if settings.confidence is None else settings.confidence.concentrations,
            "rejection": settings.rejection,
        },
        num_cpus=resources.sink_cpus,
        max_restarts=_SINK_RESTARTS,
        **_WHOLE_UNITS,
    )


def galaxy_stream(
    units: Sequence[WorkUnit],
    settings: StreamSettings,
    resources: StreamResources,
    stage: type,
    limits: DecodeLimits | None = None,
    **stage_settings: Any,
) -> Dataset:
    """Lay out the stream from units, over their decoded galaxies, to what a stage makes of them.

    Every block is one whole unit. Actors are restarted so many times, never for ever. Nothing runs yet.

    Parameters
    ----------
    units
        At least one.
    stage
        Made with ``weights, tree, precision, threads, device`` and the `stage_settings`; called with the
        galaxies of one unit (`DECODED_SCHEMA`).
    """
    DataContext.get_current().execution_options.resource_limits = ExecutionResources(
        object_store_memory=resources.in_flight_bytes
    )
    decoded = ray.data.from_items(
        [asdict(unit) for unit in units], override_num_blocks=len(units)
    ).map_batches(
        DecodeActor,
        compute=ActorPoolStrategy(size=min(resources.decode_actors, len(units))),
        fn_constructor_kwargs={
            "limits": limits,
            "survey": settings.survey,
            "index": settings.index,
            "settings": DecodeSettings(
                settings.recentrings,
                settings.decoder == "gpu",
                settings.rejection,
                settings.clump_weights is not None,
            ),
        },
        num_cpus=resources.decode_cpus,
        max_restarts=_DECODE_RESTARTS,
        **_WHOLE_UNITS,
    )
    return map_blocks_on_gpus(
        decoded,
        stage,
        compute=_model_pool(min(resources.model_actors, len(units)), settings),
        fn_constructor_kwargs={
            "weights": settings.weights,
            "tree": settings.tree,
            "precision": settings.precision,
            "threads": resources.model_threads,
            "device": "cuda" if resources.model_gpus else "cpu",
            **stage_settings,
        },
        num_cpus=resources.model_cpus,
        num_gpus=resources.model_gpus or None,
        max_restarts=_MODEL_RESTARTS,
        **_WHOLE_UNITS,
    )


def _model_pool(size: int, settings: StreamSettings) -> ActorPoolStrategy:
    """Model actors; one that decodes too has two units, and decodes one while the other is classified."""
    if settings.decoder == "cpu":
        return ActorPoolStrategy(size=size)
    return ActorPoolStrategy(size=size, max_concurrent_calls_per_actor=2, enable_true_multi_threading=True)


def finished_units(stream: Dataset) -> Iterator[LedgerEntry]:
    """Run a stream of units, yielding the ledger's entry of each as it is done; not in order.

    Raises
    ------
    StreamError, InputError, RunError
        As `stream_rows`.
    """
    for row in stream_rows(stream):
        yield LedgerEntry.model_validate_json(row["entry"])


def stream_rows(stream: Dataset, again: str = _CONTINUES) -> Iterator[dict[str, Any]]:
    """Run a stream, yielding its rows as they come; not in order.

    Parameters
    ----------
    again
        What the same command does after a failure.

    Raises
    ------
    StreamError
        If actors keep dying, or nothing moves for a long time.
    InputError
        If a shard is gone.
    RunError
        If a store keeps failing.
    """
    try:
        yield from stream.iter_rows()
    except ExecutionTimeoutError as error:
        seconds = DataContext.get_current().execution_no_progress_timeout_s
        raise StreamError(
            f"nothing moved for {seconds:g} s, so the run was stopped; {again}, "
            "and look at the cluster if it stops again"
        ) from error
    except RayTaskError as error:
        for kind in (InputError, RunError):
            if isinstance(error.cause, kind):  # Ray adds a traceback, and advice below the first line
                raise kind(str(error.cause).partition("\n")[0]) from error
        raise
    except (RayActorError, WorkerCrashedError, OutOfMemoryError) as error:
        start_error = _TOLD_AT_START.search(str(error))
        if start_error:
            kind = InputError if start_error[1] == "InputError" else RunError
            raise kind(start_error[2]) from error
        reason = " ".join(str(error).split())[:300]
        raise StreamError(
            f"the processes of a stage kept dying ({reason}); {again}, "
            "with fewer actors or a smaller unit_rows if memory is short"
        ) from error
