"""The stream: work units → decode actors → model actors → sink, on Ray Data."""

from pipeline.streaming.cluster import StreamResources, connect, plan_resources
from pipeline.streaming.stream import StreamSettings, UnitDone, stream_units

__all__ = [
    "StreamResources",
    "StreamSettings",
    "UnitDone",
    "connect",
    "plan_resources",
    "stream_units",
]
