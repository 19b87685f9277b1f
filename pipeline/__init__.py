"""Galaxy morphology for whole surveys: from image cutouts to a catalogue of the answers of a decision tree.

In a notebook, `Classifier` answers for pictures, and `open_catalogue` reads what `classify` wrote.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.face.catalogue import Catalogue, open_catalogue
    from pipeline.face.classifier import Classifier

__version__ = "0.1.0"

__all__ = ["Catalogue", "Classifier", "open_catalogue"]

_HOMES = {"Catalogue": "catalogue", "Classifier": "classifier", "open_catalogue": "catalogue"}


# Looked up when used: the command line and child processes import this package, and load no torch.
def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.face.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
