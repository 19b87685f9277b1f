"""The oddest galaxies of a catalogue, and those that a researcher would find most interesting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.errors import InputError
from pipeline.report.oddities import Shown, oddity_sections, taste_sections
from pipeline.report.rating_page import Card
from pipeline.representations import EmbeddingBatch, Embeddings
from pipeline.representations.gathering import Best, Values, diverse, gather, sample, vectors_of
from pipeline.representations.oddity import SAMPLE, oddity
from pipeline.representations.ratings import Ratings, Session, open_session
from pipeline.representations.taste import FEWEST, Taste, learn_taste
from pipeline.run.rating_server import Actions, serve
from pipeline.run.scores import say_missing, thumbnails_of, write_scores

SCORES, RANKING, RATINGS = "scores.parquet", "ranking.parquet", "ratings.jsonl"
CARD_SIDE = 424
_AMONG = 20
"""Of so many times the galaxies wanted, the oddest, those are chosen that differ most."""


@dataclass(frozen=True)
class Candidates:
    """Galaxies that may be proposed, and those that were rated.

    Attributes
    ----------
    galaxies
        Columns of `pipeline.representations.gathering.gather`.
    odd
        How odd an embedding is.
    """

    galaxies: pa.Table
    odd: Values

    def taste(self, ratings: Ratings) -> Taste | None:
        """What the ratings teach; None where they are too few, or all the same."""
        names = self.galaxies["object_id"].to_pylist()
        rated = dict(zip(ratings.ids, ratings.values.tolist(), strict=True))
        rows = [row for row, name in enumerate(names) if name in rated]
        values = np.array([rated[names[row]] for row in rows])
        return learn_taste(vectors_of(self.galaxies.take(pa.array(rows, pa.int64()))), values)

    def propose(self, taste: Taste | None, count: int, without: set[str]) -> pa.Table:
        """The galaxies to rate next, less some: those by which the best rating so far may be surpassed.

        Before there is a taste, they are odd ones that differ.
        """
        names = self.galaxies["object_id"].to_pylist()
        left = np.array([row for row, name in enumerate(names) if name not in without], np.int64)
        vectors = vectors_of(self.galaxies)[left]
        if taste is None:
            oddest = np.argsort(-self.odd(vectors), kind="stable")[: _AMONG * count]
            chosen = oddest[diverse(vectors[oddest], count)]
        else:
            chosen = np.argsort(-taste.improvement(vectors), kind="stable")[:count]
        return self.galaxies.take(pa.array(left[chosen]))


def candidates(embeddings: Embeddings, rated: Ratings, name: str, seed: int) -> Candidates:
    """Galaxies drawn at random, and the rated ones.

    Parameters
    ----------
    name
        Of the ratings, for messages.

    Raises
    ------
    InputError
        If the catalogue has none of the galaxies that were rated, or none at all.
    """
    drawn = sample(embeddings, SAMPLE, seed)
    if not len(drawn):
        raise InputError(f"{embeddings.uri} has no galaxies; classify some first")
    galaxies = drawn
    if len(rated):
        own = gather(embeddings, rated.ids)
        present = set(own["object_id"].to_pylist())
        if not present:
            raise InputError(
                f"{embeddings.uri} has none of the {len(rated):,} galaxies of {name}: ids there are like "
                f"{rated.ids[0]!r}; expected ratings of this catalogue's"
            )
        say_missing(name, rated.ids, sorted(present), embeddings.uri)
        others = [row for row, each in enumerate(drawn["object_id"].to_pylist()) if each not in present]
        galaxies = pa.concat_tables([own, drawn.take(pa.array(others, pa.int64())).cast(own.schema)])
    return Candidates(galaxies, oddity(vectors_of(drawn), seed))


def rank(embeddings: Embeddings, score: Values, output: str, limit: int) -> tuple[int, pa.Table]:
    """Write the score of every galaxy, and the `limit` best in order; how many there are, and the best."""
    best = Best(limit)

    def scored(batch: EmbeddingBatch) -> NDArray[np.floating]:
        values = score(batch.vectors)
        best.add(batch, values)
        return values

    rows = write_scores(storage.join(output, SCORES), embeddings, ["score"], scored, "Ranking")
    table = best.table
    ranking = pa.table(
        {
            "rank": np.arange(1, len(table) + 1),
            **{name: table[name] for name in ("object_id", "ra", "dec")},
            "score": table["value"],
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(ranking, sink, compression="zstd")
    storage.write_bytes(storage.join(output, RANKING), sink.getvalue().to_pybytes())
    return rows, table


def shown(catalogue: str, best: pa.Table, count: int, taste: Taste | None, rated: Ratings) -> list[Any]:
    """Sections of the page: the best in order by taste, those that differ most of the oddest without."""
    if taste is None:
        rows = diverse(vectors_of(best), count)
        best = best.take(pa.array(np.sort(rows)))
    best = best[:count]
    ids, values = best["object_id"].to_pylist(), best["value"].to_pylist()
    galaxies = Shown(ids, values, thumbnails_of(catalogue, best))
    if taste is None:
        return oddity_sections(galaxies)
    return taste_sections(galaxies, taste, rated)


def cards(catalogue: str, galaxies: pa.Table) -> list[Card]:
    """Galaxies with pictures, as far as they can be read."""
    pictures = thumbnails_of(catalogue, galaxies, CARD_SIDE)
    names = galaxies["object_id"].to_pylist()
    return [Card(name, pictures[name]) for name in names if name in pictures]


@dataclass
class Rating:
    """A session at work: what is proposed, by what was rated so far."""

    catalogue: str
    candidates: Candidates
    session: Session
    count: int
    proposed: set[str]

    def more(self) -> list[Card]:
        """The next galaxies to rate; those without a picture are passed over."""
        found: list[Card] = []
        taste = self.candidates.taste(self.session.ratings())
        while not found:
            galaxies = self.candidates.propose(taste, self.count, self.proposed)
            if not len(galaxies):
                break
            self.proposed |= set(galaxies["object_id"].to_pylist())
            found = cards(self.catalogue, galaxies)
        return found

    def rate(self, object_id: str, rating: Any) -> None:
        """Keep a rating."""
        if object_id not in self.proposed:
            raise InputError(f"galaxy {object_id!r} was not proposed in this session")
        self.session.rate(object_id, rating)


def hold_session(
    embeddings: Embeddings,
    path: Path,
    rater: str,
    count: int,
    port: int,
    seed: int,
    page: Any,
    started: Any,
) -> tuple[Candidates, Ratings]:
    """Let a person rate until they finish; the candidates and all ratings of the file.

    Parameters
    ----------
    page
        Makes the page of cards and how many were rated before.
    started
        Called with the link.
    """
    with open_session(path, rater) as session:
        before = session.ratings()
        choice = candidates(embeddings, before, str(path), seed)
        rating = Rating(embeddings.uri, choice, session, count, set(before.ids))

        def first_page() -> str:
            # The page may be opened again: what was proposed and not rated may come again, too.
            rated = session.ratings()
            rating.proposed &= set(rated.ids)
            html: str = page(rating.more(), len(rated))
            return html

        serve(
            Actions(first_page, rating.rate, lambda: [card.as_json() for card in rating.more()]),
            port,
            started,
        )
        return choice, session.ratings()


def check_ratings(ratings: Ratings, taste: Taste | None, name: str) -> Taste:
    """Make sure that there is a taste.

    Raises
    ------
    InputError
        If ratings are too few, or all the same.
    """
    if taste is None:
        raise InputError(
            f"{name} holds ratings of {len(ratings)} galaxies, from {min(ratings.values, default=0):g} to "
            f"{max(ratings.values, default=0):g}; expected at least {FEWEST} that are not all the same: rate "
            "some more"
        )
    return taste
