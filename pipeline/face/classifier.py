"""A classifier of pictures in memory, by the stages that `classify` runs on a cluster."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from pipeline.averaging import Precision, fastest_precision
from pipeline.catalogue import catalogue_rows, catalogue_schema
from pipeline.catalogue.embedding import EMBEDDING, to_vectors
from pipeline.confidence.document import read_confidence
from pipeline.config import shipped
from pipeline.cutouts.table import CUTOUT_SCHEMA, SIZE
from pipeline.errors import InputError
from pipeline.face.pictures import Opener, Picture, load, several
from pipeline.images import ImageError
from pipeline.images.frame import FrameWidth
from pipeline.images.region import FRAME_RADII
from pipeline.network import check_model, load_networks, member_weights
from pipeline.protocol import WorkUnit
from pipeline.representations import read_projection
from pipeline.streaming.decode import decoded_table
from pipeline.streaming.model import ModelActor
from pipeline.streaming.rows import DecodeSettings, decode_row
from pipeline.streaming.uncertainty import uncertainty_of
from pipeline.survey import load_survey
from pipeline.survey.settings import SurveySettings
from pipeline.tree import load_tree

_AT_ONCE = 256
"""Pictures that are decoded at a time."""

_PROVENANCE = ("object_id", "ra", "dec", "run", "weights", "input", "content", "stale")
"""Columns of a catalogue that pictures in memory haven't."""

_DEVICES = {"auto": None, "cpu": "cpu", "gpu": "cuda"}

Radii = float | Sequence[float] | Literal["measured"] | None
Centers = Sequence[tuple[float, float]] | None


class Classifier:
    """Answers the questions of a decision tree for pictures of galaxies, as ``tuningfork classify`` does.

    Parameters
    ----------
    weights, tree
        A weight file or an ensemble, and the tree that it answers: paths, URIs, or names of what comes along.
    transforms
        60 for the mean over sixty turned, flipped and scaled views; 1 for the view as it is.
    precision
        ``float32``, ``bfloat16``, ``float16``, ``tf32``, or ``auto`` for what this machine computes fastest
        in.
    device
        ``cpu``, ``gpu``, or ``auto`` for a GPU if there is one.
    survey
        A survey file, by path, URI or name, or its settings: how fluxes become colours, and how wide frames
        are. Without one, pictures are RGB.
    uncertainty
        Whether to say how sure answers are, in the columns that a catalogue has for it.
    embedding
        Whether to give each galaxy's vector: what the network sees in it, however it is turned.

    Raises
    ------
    InputError
        If weights, tree or survey can't be used, there is no GPU where one is asked for, or the weights can't
        say how sure they are, or give vectors.

    Examples
    --------
    >>> from skimage.data import hubble_deep_field
    >>> spiral = hubble_deep_field()[331:472, 53:194]
    >>> Classifier().predict([spiral])["smooth_or_featured_answer"].tolist()
    ['featured_or_disk']
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] = "compact",
        tree: str | os.PathLike[str] = "galaxy_zoo_2",
        transforms: Literal[60, 1] = 60,
        precision: Literal["auto"] | Precision = "auto",
        device: Literal["auto", "cpu", "gpu"] = "auto",
        survey: str | os.PathLike[str] | SurveySettings | None = None,
        uncertainty: bool = False,
        embedding: bool = False,
    ) -> None:
        _check("transforms", transforms, (60, 1))
        _check("precision", precision, ("auto", *get_args(Precision)))
        _check("device", device, tuple(_DEVICES))
        if device == "gpu" and not torch.cuda.is_available():
            raise InputError(
                "device is 'gpu', and torch sees no GPU on this machine; say 'cpu', or 'auto' for a GPU if "
                "there is one"
            )
        weights, tree = shipped("weights", os.fspath(weights)), shipped("trees", os.fspath(tree))
        self.tree = load_tree(tree)
        self.model = check_model(weights, self.tree)
        if precision == "auto":
            on_gpu = device != "cpu" and torch.cuda.is_available()
            networks = load_networks(weights, self.tree)
            precision = fastest_precision("cuda" if on_gpu else "cpu", networks)
        self.survey = _survey(survey)
        self._confidence = read_confidence(weights, self.model) if uncertainty else None
        self._projection = None
        if embedding:
            self._projection = read_projection(member_weights(weights), self.model.cards[0].sha256)
        self._stage = ModelActor(
            weights,
            tree,
            transforms,
            precision,
            torch.get_num_threads(),
            _DEVICES[device],
            familiarity=None if self._confidence is None else self._confidence.familiarity,
            projection=self._projection,
        )

    def predict(
        self,
        images: Iterable[Picture],
        *,
        radius: Radii = None,
        center: Centers = None,
        errors: Literal["raise", "quarantine"] = "raise",
    ) -> pd.DataFrame:
        """Answer the questions of the tree for pictures.

        Parameters
        ----------
        images
            Several, each with one galaxy: see `pipeline.face.pictures.Picture`.
        radius
            The galaxies' Petrosian 90 % radii in image pixels, one number or one for each, or ``measured``:
            the network looks at a frame 8.48 times as wide. If not given, the whole picture is the frame,
            whatever it shows. Where the survey's ``frame`` names a column, what that would hold.
        center
            (x, y) of the galaxies in their pictures, in pixels from 0; the middle if not given.
        errors
            ``raise`` at the first picture that can't be used, or give it a row without answers and say why
            in the columns ``reason`` and ``message``.

        Returns
        -------
        pandas.DataFrame
            A row for each picture, in order, with the catalogue's answer columns: ``<question>_<answer>``,
            the share of all volunteers who would be expected to give that answer, float32; ``class`` and
            ``class_confidence``, float32; the most probable answer ``<question>_answer``, where half of them
            would be asked; and ``<question>_agreement``, float32. With `uncertainty`
            also ``<question>_<answer>_low`` and ``_high``, ``<question>_volunteers``, ``out_of_place`` and
            ``frame_ratio``. With `embedding` also ``embedding``, an array of 64 int8.

        Raises
        ------
        InputError
            Naming the first picture that can't be used; or if there are more or fewer radii or centres than
            pictures.
        """
        _check("errors", errors, ("raise", "quarantine"))
        pictures = several(images)
        survey = self._survey_for(radius)
        opener, cutouts = Opener(survey), _cutouts(pictures, radius, center, survey)
        rows = (self._decode(cutout, number, opener) for number, cutout in enumerate(cutouts))
        sound = map(_sound, rows) if errors == "raise" else rows
        answers = pd.concat([self._answer(piece) for piece in _pieces(sound)] or [self._answer([])])
        return answers if errors == "quarantine" else answers.drop(columns=["reason", "message"])

    def _survey_for(self, radius: Radii) -> SurveySettings | None:
        """The survey's settings, with frames that are measured where that is asked for."""
        survey = self.survey
        if isinstance(radius, str):
            _check("radius", radius, ("measured",))
            every = survey or SurveySettings(name="pictures")
            return every.model_copy(update={"frame": FrameWidth(measured=True)})
        if survey is not None and survey.frame is not None:
            column = survey.frame.column
            if (radius is None) != (column is None):
                expected = "no radius" if column is None else f"what {column} holds, in {survey.frame.unit}"
                raise InputError(f"radius is {radius}; the frame of survey {survey.name!r} wants {expected}")
        return survey

    def _decode(self, cutout: dict[str, Any], number: int, opener: Opener) -> dict[str, Any]:
        problem = None
        try:
            cutout = cutout | {"image": load(cutout["image"])}
        except ImageError as error:
            cutout, problem = cutout | {"image": None}, (error.reason, error.message)
        return decode_row(cutout, number, False, problem, opener, DecodeSettings(self.model.recentrings))

    def _answer(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Answers, ``reason`` and ``message`` of decoded pictures, by their numbers."""
        decoded = decoded_table(WorkUnit(0, "memory", 0, len(rows)), rows, time.perf_counter())
        answered = self._stage(decoded)
        flat = answered["probabilities"].combine_chunks().flatten()
        probabilities = np.asarray(flat, np.float32).reshape(-1, self.tree.answer_count)
        good = decoded["reason"].is_null().to_numpy()
        kept = decoded.filter(pa.array(good, pa.bool_()))
        probabilities = probabilities[good]
        uncertainty = None
        if self._confidence is not None:
            rows = answered.filter(pa.array(good, pa.bool_()))
            uncertainty = uncertainty_of(self.tree, rows, probabilities, self._confidence.concentrations)
        embedding = answered[EMBEDDING].filter(pa.array(good, pa.bool_())) if self._projection else None
        answers = catalogue_rows(
            self.tree, kept, probabilities, "", self.model.sha256, [""] * len(kept), uncertainty, embedding
        )
        frame: pd.DataFrame = answers.select(self._columns).to_pandas()
        if embedding is not None:
            frame[EMBEDDING] = list(to_vectors(embedding.combine_chunks()))
        frame.index = pd.Index(np.flatnonzero(good))
        frame = frame.reindex(range(len(rows)))
        frame[["reason", "message"]] = decoded.select(["reason", "message"]).to_pandas()
        frame.index = pd.Index(decoded["row"].to_numpy())
        return frame

    @property
    def _columns(self) -> list[str]:
        sure, seen = self._confidence is not None, self._projection is not None
        names = catalogue_schema(self.tree, sure, seen).names
        provenance = set(_PROVENANCE)
        return [name for name in names if name not in provenance]


def _cutouts(
    images: list[Picture], radius: Radii, center: Centers, survey: SurveySettings | None
) -> Iterator[dict[str, Any]]:
    """Rows as a source gives them, each picture as the caller has it."""
    count = len(images)
    sizes = [None] * count if radius is None or isinstance(radius, str) else _each("radius", radius, count)
    centers = [(None, None)] * count if center is None else _each("center", center, count, 2)
    of_survey = survey is not None and survey.frame is not None
    for number, (image, size, (x, y)) in enumerate(zip(images, sizes, centers, strict=True)):
        frame = None if size is None else FRAME_RADII * size
        place = {"object_id": str(number), "image": image, "center_x": x, "center_y": y}
        width = {SIZE: size} if of_survey else {"frame_pixels": frame}
        yield dict.fromkeys(CUTOUT_SCHEMA.names) | place | width


def _each(name: str, values: Any, count: int, width: int = 1) -> list[Any]:
    """A number, or a pair of numbers, for each picture."""
    try:
        # numpy makes float64 of these, too: the real part, or the time since 1970.
        if np.asarray(values).dtype.kind in "bcmM":
            raise TypeError(name)
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {values!r}; expected numbers, for {count} pictures") from error
    shape = (count,) if width == 1 else (count, width)
    if array.shape != shape and not (width == 1 and array.ndim == 0):
        raise InputError(f"{name} has the shape {array.shape}; expected {shape}, for {count} pictures")
    listed: list[Any] = np.broadcast_to(array, shape).tolist()
    return listed


def _sound(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("reason") is not None:
        raise InputError(
            f"image {row['row']}: {row['message']} ({row['reason']}); leave it out, or say "
            'errors="quarantine" to get a row without answers for it'
        )
    return row


def _pieces(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(rows)
    while piece := list(itertools.islice(remaining, _AT_ONCE)):
        yield piece


def _check(name: str, value: object, options: tuple[object, ...]) -> None:
    if value not in options:
        raise InputError(f"{name} is {value!r}; expected one of {', '.join(map(repr, options))}")


def _survey(survey: str | os.PathLike[str] | SurveySettings | None) -> SurveySettings | None:
    if survey is None or isinstance(survey, SurveySettings):
        return survey
    if not isinstance(survey, str | os.PathLike):
        raise InputError(f"survey is {survey!r}; expected a survey file, its name, or its settings")
    return load_survey(shipped("surveys", os.fspath(survey)))
