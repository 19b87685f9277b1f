"""The viewpoint network: layers, output layer, sampling of viewpoints, specifications and weight files."""

from pipeline.network.checkpoint import (
    DEFAULT_WEIGHTS,
    Card,
    check_weights,
    load_network,
    read_card,
    read_weights,
    save_network,
    write_card,
)
from pipeline.network.ensemble import (
    ENSEMBLE_SUFFIX,
    Ensemble,
    Model,
    by_recentring,
    check_model,
    load_networks,
    member_weights,
    save_ensemble,
    weight_files,
)
from pipeline.network.features import contrast_normalised, layer_activations
from pipeline.network.layers import Dense
from pipeline.network.output import TreeOutput
from pipeline.network.sampling import RegionBatch, ViewpointSampler
from pipeline.network.spec import NetworkSpec, load_network_spec
from pipeline.network.viewpoint_network import ViewpointNetwork

__all__ = [
    "DEFAULT_WEIGHTS",
    "ENSEMBLE_SUFFIX",
    "Card",
    "Dense",
    "Ensemble",
    "Model",
    "NetworkSpec",
    "RegionBatch",
    "TreeOutput",
    "ViewpointNetwork",
    "ViewpointSampler",
    "by_recentring",
    "check_model",
    "check_weights",
    "contrast_normalised",
    "layer_activations",
    "load_network",
    "load_network_spec",
    "load_networks",
    "member_weights",
    "read_card",
    "read_weights",
    "save_ensemble",
    "save_network",
    "weight_files",
    "write_card",
]
