"""The stage that looks for galaxies: regions → those that excite each hidden unit most and least."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.averaging import Precision, map_chunks
from pipeline.evaluation import galaxy_rmse
from pipeline.evaluation.ranking import Moments, Ranking, moments, no_ranking, rank
from pipeline.geometry import IDENTITY
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler
from pipeline.streaming.model import ready_networks
from pipeline.streaming.regions import good_rows, regions_of

_GALAXIES_AT_ONCE = 16

Votes = tuple[tuple[str, ...], NDArray[np.float32]]
"""Galaxies' ids, and their vote fractions (n, answers)."""

RANKINGS = ("most", "least", "hardest", "easiest")


class LoadedNetwork:
    """One network on the device that this process has, as it classifies with a single transform."""

    def __init__(
        self, weights: str, tree: str, precision: Precision, threads: int, device: str | None = None
    ) -> None:
        (network,), dtype = ready_networks(weights, tree, precision, threads, device)
        self.device = network.device
        self.recentring = None if network.spec.recentring is None else 0
        self.network: ViewpointNetwork = network.lowered(dtype)
        self.sampler = ViewpointSampler().to(self.device)

    def look(self, regions: RegionBatch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Activations of the last hidden layer (n, hidden units), and probabilities (n, answers)."""
        parts = map_chunks(self._look, regions, _GALAXIES_AT_ONCE, self.device)
        hidden, answers = (torch.cat(part).float().cpu().numpy() for part in zip(*parts, strict=True))
        return hidden, answers

    @torch.inference_mode()
    def _look(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        viewpoints = self.sampler(regions, [IDENTITY])[:, 0]
        hidden = self.network.hidden(self.network.viewpoint_features(viewpoints))
        return hidden, self.network.output(self.network.raw_of_hidden(hidden))


class ExcitationActor:
    """Ray Data stage: `DECODED_SCHEMA` → one row, the `Excitation` of a work unit.

    Parameters
    ----------
    weights, tree
        URIs; of one network.
    precision, threads, device
        As `ModelActor` takes them.
    size
        Galaxies to keep of each kind.
    votes
        Votes of volunteers, by which galaxies are hard or easy; None if there are none.
    """

    def __init__(
        self,
        weights: str,
        tree: str,
        precision: Precision,
        threads: int,
        size: int,
        votes: Votes | None = None,
        device: str | None = None,
    ) -> None:
        self._loaded, self._size = LoadedNetwork(weights, tree, precision, threads, device), size
        self._votes = None if votes is None else votes[1]
        self._places = {} if votes is None else {name: row for row, name in enumerate(votes[0])}

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Rank the good galaxies of one work unit."""
        started = time.perf_counter()
        parts = [self._part(batch, rows, side) for rows, side in good_rows(batch)]
        hidden_units, answers = self._loaded.network.last.in_features, self._loaded.network.tree.answer_count
        rows = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, np.int64)
        hidden = (
            np.concatenate([part[1] for part in parts]) if parts else np.zeros((0, hidden_units), np.float32)
        )
        probabilities = (
            np.concatenate([part[2] for part in parts]) if parts else np.zeros((0, answers), np.float32)
        )
        sound = np.isfinite(hidden).all(axis=1) & np.isfinite(probabilities).all(axis=1)
        rows, hidden, probabilities = rows[sound], hidden[sound], probabilities[sound]
        ids = batch["object_id"].take(pa.array(rows)).to_pylist()
        shard, places = str(batch["shard"][0]), batch["row"].to_numpy()[rows]
        errors = self._errors(ids, probabilities)
        excitation = {
            "most": rank(hidden, ids, shard, places, self._size),
            "least": rank(-hidden, ids, shard, places, self._size),
            "hardest": rank(errors, ids, shard, places, self._size),
            "easiest": rank(-errors, ids, shard, places, self._size),
        }
        return _packed(excitation, moments(hidden), shard, len(batch), time.perf_counter() - started)

    def _part(
        self, batch: pa.Table, rows: NDArray[np.int64], side: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        return rows, *self._loaded.look(regions_of(batch, rows, side, self._loaded.recentring))

    def _errors(self, ids: list[str], answers: NDArray[np.float32]) -> NDArray[np.float64]:
        """RMSE of each galaxy (n, 1), NaN where it has no votes."""
        errors = np.full((len(ids), 1), np.nan)
        where = [(row, self._places[name]) for row, name in enumerate(ids) if name in self._places]
        if where and self._votes is not None:
            own, theirs = (list(side) for side in zip(*where, strict=True))
            errors[own, 0] = galaxy_rmse(answers[own], self._votes[theirs])
        return errors


class Excitation:
    """What the stage has found in the work units so far; its size doesn't grow with them.

    Attributes
    ----------
    rankings
        By name (`RANKINGS`): `most` and `least` have a quantity a hidden unit, the others one. Values of
        `least` and `easiest` have their sign changed.
    moments
        Moments of the activations of each hidden unit.
    rows, seen
        Rows of the survey, and those of which the network gave finite answers.
    """

    def __init__(self, hidden_units: int, size: int) -> None:
        sizes = {"most": hidden_units, "least": hidden_units, "hardest": 1, "easiest": 1}
        self.rankings = {name: no_ranking(quantities, size) for name, quantities in sizes.items()}
        self.moments = Moments(0, np.zeros(hidden_units), np.zeros(hidden_units))
        self.rows, self._size = 0, size

    @property
    def seen(self) -> int:
        """How many galaxies the network gave finite answers for, and that are ranked."""
        return self.moments.count

    def add(self, row: dict[str, Any]) -> None:
        """Take in the row of one more work unit."""
        for name, ranking in self.rankings.items():
            self.rankings[name] = ranking.merged(_unpacked(row, name, self._size))
        own = Moments(row["count"], np.array(row["mean"]), np.array(row["squares"]))
        self.moments = self.moments.merged(own)
        self.rows += row["size"]


def _packed(rankings: dict[str, Ranking], spread: Moments, shard: str, size: int, seconds: float) -> pa.Table:
    columns: dict[str, Any] = {
        "shard": shard,
        "size": size,
        "model_seconds": seconds,
        "count": spread.count,
        "mean": spread.mean,
        "squares": spread.squares,
    }
    for name, ranking in rankings.items():
        columns |= {f"{name}_{part}": getattr(ranking, part).ravel() for part in ("values", "ids", "rows")}
    return pa.table({name: pa.array([value]) for name, value in columns.items()})


def _unpacked(row: dict[str, Any], name: str, size: int) -> Ranking:
    values, ids, rows = (
        np.array(row[f"{name}_{part}"], kind).reshape(-1, size)
        for part, kind in (("values", np.float64), ("ids", object), ("rows", np.int64))
    )
    return Ranking(values, ids, np.where(rows >= 0, row["shard"], "").astype(object), rows)
