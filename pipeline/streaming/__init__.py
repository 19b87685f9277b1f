"""The stream: work units → decode actors → model actors → sink, on Ray Data."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.streaming.cluster import StreamResources, connect, gpus_up, plan_resources
    from pipeline.streaming.metrics import RunMetrics
    from pipeline.streaming.scaling import secure_nodes
    from pipeline.streaming.stream import (
        StreamError,
        StreamSettings,
        finished_units,
        galaxy_stream,
        stream_rows,
        stream_units,
        unit_stream,
    )

__all__ = [
    "RunMetrics",
    "StreamError",
    "StreamResources",
    "StreamSettings",
    "connect",
    "finished_units",
    "galaxy_stream",
    "gpus_up",
    "plan_resources",
    "secure_nodes",
    "stream_rows",
    "stream_units",
    "unit_stream",
]

_HOMES = {
    "StreamResources": "cluster",
    "connect": "cluster",
    "gpus_up": "cluster",
    "plan_resources": "cluster",
    "RunMetrics": "metrics",
    "secure_nodes": "scaling",
    "StreamError": "stream",
    "StreamSettings": "stream",
    "finished_units": "stream",
    "galaxy_stream": "stream",
    "stream_rows": "stream",
    "stream_units": "stream",
    "unit_stream": "stream",
}


# Looked up when used, so that decode actors load no torch, and the processes that isolate them no Ray.
def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
