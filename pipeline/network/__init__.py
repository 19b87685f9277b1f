"""The viewpoint network: layers, output layer, sampling of viewpoints, specifications and weight files."""

from pipeline.network.checkpoint import DEFAULT_WEIGHTS, Card, check_weights, load_network, save_network
from pipeline.network.layers import Dense
from pipeline.network.output import TreeOutput
from pipeline.network.sampling import RegionBatch, ViewpointSampler
from pipeline.network.spec import NetworkSpec, load_network_spec
from pipeline.network.viewpoint_network import ViewpointNetwork

__all__ = [
    "DEFAULT_WEIGHTS",
    "Card",
    "Dense",
    "NetworkSpec",
    "RegionBatch",
    "TreeOutput",
    "ViewpointNetwork",
    "ViewpointSampler",
    "check_weights",
    "load_network",
    "load_network_spec",
    "save_network",
]
