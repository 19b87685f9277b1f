"""Galaxy morphology: `Classifier` answers for pictures, `open_catalogue` reads a catalogue.

The package `pipeline` by the name that the project is installed by; pyproject.toml puts it beside that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pipeline

if TYPE_CHECKING:
    from pipeline.face.catalogue import Catalogue, open_catalogue
    from pipeline.face.classifier import Classifier

__all__ = ["Catalogue", "Classifier", "open_catalogue"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(pipeline, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
