"""What is used of Ray that Ray doesn't promise to keep, all of it: as it is in Ray 2.60.

Whoever raises Ray's version looks here first. All else that the project uses is in Ray's documentation.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import ray
from ray.autoscaler._private.util import format_readonly_node_type
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.core.generated import autoscaler_pb2
from ray.data import Dataset
from ray.experimental.internal_kv import _internal_kv_get, internal_kv_get_gcs_client
from ray.util.placement_group import PlacementGroup

_STATUS_V1 = b"__autoscaling_status"


def autoscaler() -> Literal["v1", "v2"] | None:
    """Which autoscaler the cluster has; None if none adds nodes to it.

    Relies on the report that the older autoscaler keeps in the cluster's key-value store, where each of its
    kinds of nodes has a name: a cluster whose nodes were started by hand has an autoscaler too, which names
    each node as `format_readonly_node_type` does, and adds none. Instead one day: the newer autoscaler alone,
    once Ray has dropped the older, or a documented call that tells whether nodes can be added.
    """
    if is_autoscaler_v2():
        return "v2"
    status = _internal_kv_get(_STATUS_V1)
    if not status:
        return None
    kinds = (json.loads(status).get("autoscaler_report") or {}).get("active_nodes") or {}
    watched = {format_readonly_node_type(node["NodeID"]) for node in ray.nodes()}
    return None if kinds and kinds.keys() <= watched else "v1"


def is_refused(places: PlacementGroup) -> bool:
    """Whether the newest report of the autoscaler (v2) names a demand as one that it can't serve.

    Relies on the message that Ray's control store answers with, and on the id of a placement group standing
    in the details of a refused one. Instead one day: the state of the group itself, or `ray status` as data.
    """
    reply = autoscaler_pb2.GetClusterStatusReply()  # type: ignore[attr-defined]
    reply.ParseFromString(internal_kv_get_gcs_client().get_cluster_status(timeout_s=10))
    refused = reply.autoscaling_state.infeasible_gang_resource_requests
    return any(places.id.hex() in gang.details for gang in refused)


def map_blocks_on_gpus(dataset: Dataset, stage: type, **arguments: Any) -> Dataset:
    """`Dataset.map_batches`, where ``batch_size=None`` goes with GPUs, too: each batch is a whole block.

    Relies on `map_batches_internal`, to which `map_batches` hands all after it has refused GPUs without a
    batch size; by a size it would make batches of several blocks. Instead one day: `map_batches` with
    that, once it is allowed.
    """
    return dataset.map_batches_internal(stage, **arguments)
