"""What ``precision=auto`` means for a run, which is part of what decides its answers."""

from __future__ import annotations

import os

import torch

from pipeline.averaging import Precision, fastest_precision
from pipeline.console import say
from pipeline.errors import InputError
from pipeline.network import load_networks
from pipeline.run.resources import has_gpus
from pipeline.run.settings import SurveyConfig
from pipeline.tree import DecisionTree

_ONLY_GPUS = {"precision": "tf32", "decoder": "gpu"}


def automatic_precision(config: SurveyConfig, tree: DecisionTree, wait: bool = True) -> Precision:
    """The precision that a run's networks are computed fastest in, where the run is going to compute.

    Parameters
    ----------
    wait
        See `has_gpus`.
    """
    if not computes_on_gpus(config, wait):
        return fastest_precision("cpu")
    precision = fastest_precision("cuda", load_networks(config.weights, tree))
    if precision != "float16":
        say(f"Computing in {precision}: activations of these weights would leave the range of float16")
    return precision


def check_gpus(config: SurveyConfig) -> None:
    """Check that what only GPUs can do can be done, as far as it is known before Ray is there.

    Raises
    ------
    InputError
        If the run is going to be on this machine, and torch can use no GPU here.
    """
    if os.environ.get("RAY_ADDRESS") or torch.cuda.is_available():
        return
    for name, value in _ONLY_GPUS.items():
        if getattr(config, name, None) == value:
            raise InputError(
                f"{name}={value} is for GPUs, and torch can use none on this machine: leave it out, or run "
                "the command where there is one (RAY_ADDRESS names a cluster)"
            )


def computes_on_gpus(config: SurveyConfig, wait: bool = True) -> bool:
    """Whether networks will be on GPUs: this machine's, or those that the cluster has or can get.

    Parameters
    ----------
    wait
        See `has_gpus`.
    """
    if config.device != "auto":
        return config.device == "gpu"
    if not os.environ.get("RAY_ADDRESS"):
        return torch.cuda.is_available()
    # Ray takes seconds to load: only a run that joins a cluster asks it.
    return has_gpus(config, wait)
