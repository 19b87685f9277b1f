"""Settings that name a place or a file: refused before any work if what is to be done there would fail.

Files that come with the project go by their short names, too: ``tree=efigi``.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from pipeline import storage
from pipeline.config import shipped
from pipeline.errors import InputError


def _fit_for_files(uri: str) -> str:
    storage.check_place(uri)
    return uri


def _fit_for_a_table(uri: str) -> str:
    storage.check_table_place(storage.absolute(uri))
    return uri


def _without_folder(name: str) -> str:
    if "/" in name:
        raise ValueError("expected a name for files without the folder, which is the output")
    return name


def _shipped(kind: str) -> AfterValidator:
    """One name, several or none, each as `pipeline.config.shipped` has it."""

    def resolve(names: Any) -> Any:
        if names is None:
            return None
        if isinstance(names, tuple):
            return tuple(map(resolve, names))
        try:
            return shipped(kind, names)
        except InputError as error:
            raise ValueError(str(error)) from error

    return AfterValidator(resolve)


Output = Annotated[str, AfterValidator(_fit_for_files)]
"""Where files are to be written (any fsspec URI)."""

TablePlace = Annotated[str, AfterValidator(_fit_for_a_table)]
"""Where a Delta table is, or is to be, or the output that holds it (any fsspec URI)."""

FileName = Annotated[str, AfterValidator(_without_folder)]
"""What files are to be called, but for their endings."""

TreeFile = Annotated[str, _shipped("trees")]
MappingFile = Annotated[str, _shipped("votes")]
TreeFiles = Annotated[str | tuple[str, ...], _shipped("trees")]
WeightsFile = Annotated[str, _shipped("weights")]
NetworkFile = Annotated[str, _shipped("networks")]
RecipeFile = Annotated[str, _shipped("recipes")]
SurveyFile = Annotated[str | None, _shipped("surveys")]
CrosswalkFile = Annotated[str | None, _shipped("crosswalks")]
EnsembleFile = Annotated[str | None, _shipped("ensembles")]
InitialWeightsFile = Annotated[str | None, _shipped("weights")]
