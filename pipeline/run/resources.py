"""The part of a Ray cluster that a run takes, and what the stages of its stream are to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.console import say
from pipeline.run.run import Run
from pipeline.run.settings import SurveyConfig

if TYPE_CHECKING:
    from pipeline.streaming import StreamResources, StreamSettings


def stream_settings(run: Run[SurveyConfig], index: str, transforms: int) -> StreamSettings:
    """What the stages of the stream are to do; `index` is the folder that the source's index was saved in."""
    from pipeline.streaming import StreamSettings

    return StreamSettings(
        run.config.weights,
        run.model.sha256,
        run.config.tree,
        transforms,
        run.config.precision,
        run.model.recentrings,
        run.source.survey,
        index,
    )


def start_ray(config: SurveyConfig) -> StreamResources:
    """Connect to Ray, wait for nodes where there are none, and divide what there is among the actors."""
    from pipeline.streaming import connect, plan_resources, secure_nodes

    connect()
    secure_nodes(config.device, config.model_actors, config.node_wait, say)
    return plan_resources(config.decode_actors, config.model_actors, config.model_threads, config.device)
