"""Discover: the oddest galaxies of a catalogue, and the most interesting to a researcher."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.errors import InputError
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.representations import open_embeddings
from pipeline.tree import GALAXY_ZOO_2, load_tree


class DiscoverConfig(StrictModel):
    """What `tuningfork discover` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output made with ``embedding=true``.
    output
        Where the ranking and the pages go; with ``serve=true``, a folder on this machine.
    ratings
        Files of ratings, of one person or several, from which the ranking is learnt. Without ratings,
        galaxies are ranked by how unusual they are.
    serve
        Whether to rate galaxies now, on a page that only this machine can open. Ratings are kept in
        ``output/ratings.jsonl``, and the same command continues.
    rater
        Your name in the file of ratings, for when several people's are combined.
    port
        Port of the page; 0 takes any free one.
    batch
        How many galaxies are proposed at a time.
    top
        How many galaxies ``ranking.parquet`` has; ``scores.parquet`` has all.
    galaxies
        How many galaxies the page shows.
    tree
        The decision tree whose answers the catalogue holds.
    as_of
        Version, or date and time, of an older snapshot; the current one if not given.
    seed
        Seed for drawing the galaxies that may be proposed.
    """

    catalogue: TablePlace
    output: Output
    ratings: str | tuple[str, ...] = ()
    serve: bool = False
    rater: str = ""
    port: int = Field(default=0, ge=0, le=65535)
    batch: int = Field(default=10, gt=0, le=100)
    top: int = Field(default=1_000, gt=0, le=1_000_000)
    galaxies: int = Field(default=48, gt=0, le=500)
    tree: TreeFile = str(GALAXY_ZOO_2)
    as_of: str | None = None
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> DiscoverConfig:
        if self.serve and self.ratings:
            raise ValueError(
                "serve=true keeps its ratings in OUTPUT/ratings.jsonl; put them there to go on with them, or "
                "leave serve=true out to rank by ratings="
            )
        return self


def run(config: DiscoverConfig) -> None:
    """Rank a catalogue, by taste where there are ratings or a person gives them now.

    Raises
    ------
    InputError
        If the catalogue or the ratings can't be used.
    """
    output = storage.absolute(config.output)
    embeddings = open_embeddings(config.catalogue, load_tree(config.tree), config.as_of)
    files = (config.ratings,) if isinstance(config.ratings, str) else config.ratings
    # scikit-learn takes seconds to load: only settings that are sound pay for it.
    from pipeline.report.document import write_document
    from pipeline.report.rating_page import rating_page
    from pipeline.representations.ratings import read_ratings
    from pipeline.run import discovering

    title = "What is worth a look"
    ratings, name = read_ratings(files), ", ".join(files)
    if config.serve:
        name = str(_local(output) / discovering.RATINGS)
        choice, ratings = discovering.hold_session(
            embeddings,
            Path(name),
            config.rater,
            config.batch,
            config.port,
            config.seed,
            lambda cards, rated: rating_page(title, cards, rated, served=True),
            lambda link: say(
                f"Rate at {link} (Ctrl-C ends it; each rating is kept, and this command goes on)"
            ),
        )
    else:
        choice = discovering.candidates(embeddings, ratings, name, config.seed)
    taste = choice.taste(ratings)
    if files or config.serve:
        taste = discovering.check_ratings(ratings, taste, name)
    rows, best = discovering.rank(embeddings, taste or choice.odd, output, config.top)
    proposed = discovering.cards(embeddings.uri, choice.propose(taste, config.batch, set(ratings.ids)))
    to_rate = storage.join(output, "rate.html")
    storage.write_bytes(to_rate, rating_page(title, proposed, len(ratings), served=False).encode())
    by = f"by {len(ratings):,} ratings" if taste else "by how odd they are"
    page = write_document(
        output,
        title,
        f"{rows:,} galaxies, ranked {by}.",
        discovering.shown(embeddings.uri, best, config.galaxies, taste, ratings),
        facts=[(f"{rows:,}", "galaxies ranked"), (f"{len(ratings):,}", "rated")],
    )
    say(f"Ranking: {storage.join(output, discovering.RANKING)}")
    say(f"Scores:  {storage.join(output, discovering.SCORES)}")
    say(f"Report:  {page}")
    say(f"To rate: open {to_rate}, and give the file that it saves as ratings=FILE; or use serve=true")


def _local(output: str) -> Path:
    if "://" in output and not output.startswith("file://"):
        raise InputError(f"output={output} is not on this machine; with serve=true name a folder here")
    return Path(output.removeprefix("file://"))
