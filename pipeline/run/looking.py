"""What a network looks at, found in one pass over a survey and a closer look at a few of its galaxies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline import storage
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.evaluation import VoteTable
from pipeline.evaluation.ranking import RankedGalaxy
from pipeline.network import ViewpointNetwork, contrast_normalised
from pipeline.protocol import PlannedShard, WorkUnit, make_plan
from pipeline.report.explanation import Explanation, Portrait, UnitGalaxies
from pipeline.run.resources import start_ray
from pipeline.run.run import Run
from pipeline.run.settings import SurveyConfig
from pipeline.survey import Inventory

if TYPE_CHECKING:
    from pipeline.streaming import StreamResources, StreamSettings

_AGAIN = "nothing was written; run the same command again"
_OCCLUDED = 4
_UNITS = 6


class ExplainConfig(SurveyConfig):
    """What `tuningfork explain` takes beside the settings of every survey run.

    Attributes
    ----------
    title
        Title of the page.
    member
        Which network of an ensemble to look at, by name; by default its first.
    galaxy
        Id of the galaxy whose activations are shown; by default the one that excites the first hidden unit
        most.
    viewpoint
        The viewpoint of that galaxy to show, 0 to 15.
    units
        Numbers of units of the last hidden layer, from 0; by default those whose activation varies most over
        the survey.
    top
        How many galaxies are shown for each hidden unit, and of the hardest and the easiest.
    occlude
        Ids of galaxies for which occlusion maps are made; by default those that excite the hidden units most.
    labels
        CSV of vote fractions, which show how hard or easy a galaxy is.
    """

    title: str = "What the network looks at"
    member: str | None = None
    galaxy: str | None = None
    viewpoint: int = Field(default=0, ge=0, le=15)
    units: tuple[int, ...] | None = Field(default=None, min_length=1, max_length=64)
    top: int = Field(default=6, gt=0, le=64)
    occlude: tuple[str, ...] | None = Field(default=None, max_length=64)
    labels: str | None = None


def check_units(units: tuple[int, ...] | None, network: ViewpointNetwork) -> None:
    """Check that the network's last hidden layer has the hidden units that were asked for.

    Raises
    ------
    InputError
        If it lacks one.
    """
    count = network.last.in_features
    for unit in units or ():
        if not 0 <= unit < count:
            raise InputError(
                f"units: {unit} is none of network {network.spec.name!r}; expected 0 to {count - 1}"
            )


def named_galaxies(
    run: Run[ExplainConfig], shards: Sequence[PlannedShard], votes: VoteTable | None
) -> dict[str, RankedGalaxy]:
    """Where the galaxies are that the settings and the labels name, by object_id.

    Raises
    ------
    InputError
        If the survey lacks one that the settings name, or all of the labels.
    """
    config = run.config
    named = [*([config.galaxy] if config.galaxy else []), *(config.occlude or ())]
    if not named and votes is None:
        return {}
    places = places_of(run.source, shards, {*named, *(votes.ids if votes else ())})
    for name in named:
        if name not in places:
            raise InputError(f"{config.input} has no galaxy {name!r}; name one by its object_id")
    if votes is not None and not any(name in places for name in votes.ids):
        raise InputError(
            f"{votes.uri} has votes for none of the galaxies of {config.input}: ids there are like "
            f"{votes.ids[0]!r}; expected those of the survey"
        )
    return places


def look(
    run: Run[ExplainConfig],
    network: ViewpointNetwork,
    shards: Sequence[PlannedShard],
    votes: VoteTable | None,
    named: dict[str, RankedGalaxy],
) -> tuple[Explanation, int]:
    """Look at every galaxy once, then closer at the chosen ones.

    Parameters
    ----------
    named
        See `named_galaxies`.

    Returns
    -------
    Explanation
    int
        Number of galaxies that were looked at.

    Raises
    ------
    InputError
        If none can be classified, or one that was named has no picture.
    """
    # Ray takes seconds to load: only settings that are sound pay for it.
    from pipeline.streaming.portrait import PATCH, PORTRAIT_REACH

    config = run.config
    index = storage.join(config.output, "index")
    run.source.save_index(index)
    plan = make_plan(shards, config.unit_rows, {})
    say(f"Starting Ray for {plan.rows:,} galaxies in {plan.unit_count:,} units …")
    resources = start_ray(config)
    passes = _Passes(run, network, votes, run.stream_settings(index, transforms=1), resources)
    chosen = passes.first(list(plan.units()))
    galaxy = named[config.galaxy] if config.galaxy else chosen.units[0].most[0]
    if config.occlude is None:
        in_turn = itertools.zip_longest(*(unit.most for unit in chosen.units))
        occluded = _different([place for places in in_turn for place in places if place])[:_OCCLUDED]
    else:
        occluded = _different([named[name] for name in config.occlude])
    portraits, layers = passes.closer(galaxy, occluded, chosen.places)
    explanation = Explanation(
        run.tree,
        network.spec.name,
        contrast_normalised(network).numpy(),
        galaxy.object_id,
        config.viewpoint,
        layers,
        chosen.units,
        chosen.hardest,
        chosen.easiest,
        portraits,
        [place.object_id for place in occluded],
        PATCH,
        PORTRAIT_REACH,
    )
    return explanation, chosen.seen


def places_of(
    source: Inventory, shards: Iterable[PlannedShard], object_ids: Collection[str]
) -> dict[str, RankedGalaxy]:
    """Where the galaxies of some object_ids are; of one that stands twice, the first place."""
    ids, shards = pa.array(sorted(object_ids), pa.string()), list(shards)
    places: dict[str, RankedGalaxy] = {}
    read = storage.read_ahead(lambda shard: source.read_ids(shard.uri), shards)
    for shard, column in zip(shards, read, strict=True):
        rows = np.flatnonzero(pc.is_in(column.cast(pa.string()), ids).to_numpy(zero_copy_only=False))
        for row in rows.tolist():
            name = column[row].as_py()
            if name is not None:
                places.setdefault(name, RankedGalaxy(name, shard.uri, row, 0.0))
    return places


@dataclass(frozen=True)
class _Chosen:
    """The galaxies that the first pass chose to be looked at closer, and how many it saw."""

    seen: int
    units: list[UnitGalaxies]
    hardest: list[RankedGalaxy] | None
    easiest: list[RankedGalaxy] | None

    @property
    def places(self) -> list[RankedGalaxy]:
        """All galaxies of it."""
        extremes = [place for unit in self.units for place in (*unit.most, *unit.least)]
        return [*extremes, *(self.hardest or ()), *(self.easiest or ())]


@dataclass(frozen=True)
class _Passes:
    """Two passes over galaxies by one stream's settings and resources."""

    run: Run[ExplainConfig]
    network: ViewpointNetwork
    votes: VoteTable | None
    settings: StreamSettings
    resources: StreamResources

    def first(self, units: list[WorkUnit]) -> _Chosen:
        """Every galaxy of the survey once."""
        from pipeline.streaming import galaxy_stream, stream_rows
        from pipeline.streaming.excitation import Excitation, ExcitationActor

        config, votes, top = self.run.config, self.votes, self.run.config.top
        excitation = Excitation(self.network.last.in_features, top)
        labels = None if votes is None else (votes.ids, votes.votes)
        stream = galaxy_stream(units, self.settings, self.resources, ExcitationActor, size=top, votes=labels)
        rows = sum(unit.rows for unit in units)
        with progress("Looking", rows) as advance:
            for row in stream_rows(stream, _AGAIN):
                excitation.add(row)
                advance(row["size"])
        if not excitation.seen:
            raise InputError(
                f"{config.input}: none of its {rows:,} galaxies could be classified; `tuningfork "
                "classify` tells the reason for each"
            )
        variance = excitation.moments.variance
        chosen = config.units or tuple(np.argsort(-variance, kind="stable")[:_UNITS].tolist())
        most, least = excitation.rankings["most"], excitation.rankings["least"]
        return _Chosen(
            excitation.seen,
            [
                UnitGalaxies(
                    unit, float(variance[unit]), most.first(unit, top), _negated(least.first(unit, top))
                )
                for unit in chosen
            ],
            None if votes is None else excitation.rankings["hardest"].first(0, top),
            None if votes is None else _negated(excitation.rankings["easiest"].first(0, top)),
        )

    def closer(
        self, galaxy: RankedGalaxy, occluded: list[RankedGalaxy], others: list[RankedGalaxy]
    ) -> tuple[dict[str, Portrait], dict[str, NDArray[np.float32]]]:
        """The chosen galaxies once more: their portraits, and the activations of one of them."""
        from pipeline.streaming import galaxy_stream, stream_rows
        from pipeline.streaming.portrait import PortraitActor

        config = self.run.config
        galaxies = _different([galaxy, *occluded, *others])
        stream = galaxy_stream(
            [WorkUnit(i, place.shard, place.row, place.row + 1) for i, place in enumerate(galaxies)],
            self.settings,
            self.resources,
            PortraitActor,
            occlude=[place.object_id for place in occluded],
            galaxy=galaxy.object_id,
            viewpoint=config.viewpoint,
        )
        portraits, layers = {}, {}
        with progress("Looking closer", len(galaxies)) as advance:
            for row in stream_rows(stream, _AGAIN):
                portraits[row["object_id"]] = _portrait(row)
                for layer in row["layers"] or ():
                    layers[layer["name"]] = np.array(layer["values"], np.float32).reshape(layer["shape"])
                advance(1)
        for place in (galaxy, *occluded):
            if place.object_id not in portraits:
                raise InputError(
                    f"{config.input}: galaxy {place.object_id!r} has no picture that can be read; name "
                    "another"
                )
        return portraits, layers


def _portrait(row: dict[str, Any]) -> Portrait:
    side = math.isqrt(len(row["picture"]) // 3)
    drop = None if row["drop"] is None else np.array(row["drop"], np.float32)
    return Portrait(
        row["object_id"],
        np.frombuffer(row["picture"], np.uint8).reshape(side, side, 3),
        np.array(row["probabilities"], np.float32),
        row["answer"],
        None if drop is None else drop.reshape(math.isqrt(len(drop)), -1),
    )


def _different(places: Iterable[RankedGalaxy]) -> list[RankedGalaxy]:
    """Each galaxy once, in the order in which they come."""
    return list({place.object_id: place for place in reversed(list(places))}.values())[::-1]


def _negated(places: Iterable[RankedGalaxy]) -> list[RankedGalaxy]:
    return [replace(place, value=-place.value) for place in places]
