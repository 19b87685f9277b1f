"""The library of diffusion models, where it is installed."""

from __future__ import annotations

import functools
from importlib import import_module
from types import ModuleType

from pipeline.errors import InputError
from pipeline.network.operators import prepare_torchvision


@functools.cache
def diffusers_library() -> ModuleType:
    """The module ``diffusers``; it loads in seconds, and imports torchvision where there is one.

    Raises
    ------
    InputError
        If it isn't there.
    """
    prepare_torchvision()
    try:
        return import_module("diffusers")
    except ImportError as error:
        raise InputError(
            "imagining galaxies needs the package diffusers: pip install 'tuningfork[generation]'"
        ) from error
