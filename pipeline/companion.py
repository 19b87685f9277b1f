"""Arrays that come beside weights, in a safetensors file that says of which weights they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from pipeline import storage
from pipeline.config import StrictModel, validate
from pipeline.errors import InputError

_ABOUT = "about"


class AboutCompanion(StrictModel):
    """What the arrays of a companion are of.

    Attributes
    ----------
    weights_sha256
        Of the network's weight file.
    """

    weights_sha256: str


About = TypeVar("About", bound=AboutCompanion)


def write_companion(uri: str, arrays: Mapping[str, NDArray[Any]], about: AboutCompanion) -> None:
    """Write arrays and what they are of; the same ones give the same bytes."""
    # Under one key: several would be written in another order each time.
    storage.write_bytes(uri, save_arrays(dict(arrays), {_ABOUT: about.model_dump_json()}))


def read_companion(
    kind: type[About], uri: str, weights: str, weights_sha256: str, arrays: tuple[str, ...]
) -> tuple[About, list[NDArray[Any]]]:
    """What the arrays in a file are of, and the arrays of some names.

    Raises
    ------
    InputError
        If the file lacks one of them, belongs to other weights, or can't be read.
    """
    data = storage.read_bytes(uri)
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        values, about = load_arrays(data), json.loads(header["__metadata__"][_ABOUT])
        named = [values[name] for name in arrays]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{uri} is damaged: {reason}; fetch it again, with {weights}") from error
    known = validate(kind, about, uri)
    if known.weights_sha256 != weights_sha256:
        raise InputError(
            f"{uri} is of weights {known.weights_sha256[:12]}…, and {weights} is {weights_sha256[:12]}…: "
            "fetch both again, or train anew"
        )
    return known, named
