"""The part of a Ray cluster that a run takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.console import say
from pipeline.run.settings import SurveyConfig

if TYPE_CHECKING:
    from pipeline.streaming import StreamResources


def start_ray(config: SurveyConfig) -> StreamResources:
    """Connect to Ray, wait for nodes where there are none, and divide what there is among the actors."""
    from pipeline.streaming import connect, plan_resources, secure_nodes

    connect()
    secure_nodes(config.device, config.model_actors, config.node_wait, say)
    return plan_resources(config.decode_actors, config.model_actors, config.model_threads, config.device)
