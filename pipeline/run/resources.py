"""The part of a Ray cluster that a run takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.console import say
from pipeline.errors import InputError
from pipeline.run.settings import SurveyConfig

if TYPE_CHECKING:
    from pipeline.streaming import StreamResources
    from pipeline.streaming.decoders import DecoderName


def start_ray(config: SurveyConfig) -> StreamResources:
    """Connect to Ray, wait for nodes where there are none, and divide what there is among the actors."""
    from pipeline.streaming import connect, plan_resources, secure_nodes

    connect()
    secure_nodes(config.device, config.model_actors, config.node_wait, say)
    return plan_resources(config.decode_actors, config.model_actors, config.model_threads, config.device)


def has_gpus(config: SurveyConfig, wait: bool) -> bool:
    """Whether the cluster that ``RAY_ADDRESS`` names has GPUs for a run.

    Parameters
    ----------
    wait
        Whether to wait for nodes, as a run does; else those count that are up.
    """
    if wait:
        return start_ray(config).model_gpus > 0
    from pipeline.streaming import connect, gpus_up

    connect()
    there = gpus_up() > 0
    if not there:
        say("No GPU is up in the cluster, and a dry run asks for none: this is what a run without GPUs does")
    return there


def check_decoder(decoder: DecoderName, resources: StreamResources) -> None:
    """Check that what is to decode a run's JPEGs, by its plan, is there.

    Raises
    ------
    InputError
        If GPUs are to, and there are none.
    """
    if decoder == "gpu" and not resources.model_gpus:
        raise InputError(
            "decoder=gpu has this run's JPEGs decoded by GPUs, and the Ray cluster has none: run the same "
            "command where it has, or say decoder=cpu (and to `classify` also new_run=true, to start afresh)"
        )
