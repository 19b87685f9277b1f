"""Similar: the galaxies of a catalogue that look like some examples."""

from __future__ import annotations

import pyarrow.parquet as pq
from pydantic import Field, field_validator

from pipeline import storage
from pipeline.catalogue.region import parse_cone, parse_point
from pipeline.catalogue.tags import read_tags
from pipeline.catalogue.where import parse_where
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.errors import InputError
from pipeline.places import Output, TablePlace, TreeFile, WeightsFile
from pipeline.report.alike import alike_sections
from pipeline.report.document import write_document
from pipeline.representations import Examples, examples_by_id, open_embeddings
from pipeline.run.alike import Search, search
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree


class SimilarConfig(StrictModel):
    """What `tuningfork similar` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output made with ``embedding=true``.
    output
        Where the table and the page go.
    object_id
        Ids of example galaxies, separated by commas.
    image
        An example image (JPEG or PNG): one galaxy, in a frame like those of the catalogue.
    position
        ``RA,DEC`` in degrees of an example galaxy in the catalogue.
    unlike
        Ids of counterexamples, separated by commas: galaxies that the results should not resemble.
    where
        A condition on the catalogue's columns, such as ``bar_yes > 0.5 and tag != 'merger'``.
    cone
        Only galaxies within this cone: ``RA,DEC,RADIUS`` in degrees.
    count
        How many galaxies to show.
    tags
        CSV with the columns ``object_id, tag``: labels of your own for galaxies.
    weights
        The weights that made the catalogue; they compute the vector of an example image.
    index
        An index of the catalogue made by `tuningfork index`: much faster, and finds nearly all look-alikes.
        With ``unlike`` all vectors are read, even if there is an index.
    tree
        The decision tree whose answers the catalogue holds.
    """

    catalogue: TablePlace
    output: Output
    object_id: str | None = None
    image: str | None = None
    position: str | None = None
    unlike: str | None = None
    where: str | None = None
    cone: str | None = None
    count: int = Field(24, ge=1, le=1_000)
    tags: str | None = None
    weights: WeightsFile = Field("compact", validate_default=True)
    index: str | None = None
    tree: TreeFile = str(GALAXY_ZOO_2)

    @field_validator("cone")
    @classmethod
    def _is_cone(cls, text: str | None) -> str | None:
        if text is not None:
            parse_cone(text)
        return text

    @field_validator("position")
    @classmethod
    def _is_position(cls, text: str | None) -> str | None:
        if text is not None:
            parse_point(text)
        return text


def run(config: SimilarConfig) -> None:
    """Search, and write the table and the page.

    Raises
    ------
    InputError
        If there is no example, or one isn't there; the catalogue has no embeddings, or a picture's would
        be of other weights; the condition can't be understood; or no galaxy is left.
    """
    tree = load_tree(config.tree)
    region = None if config.cone is None else parse_cone(config.cone)
    embeddings = open_embeddings(config.catalogue, tree, region=region)
    tags = {} if config.tags is None else read_tags(config.tags)
    condition = None if config.where is None else parse_where(config.where, embeddings.schema, tags)
    ids = _ids(config.object_id)
    if config.position is not None:
        ids.append(embeddings.at(*parse_point(config.position)))
    if not ids and config.image is None:
        raise InputError("nothing is searched for: name examples by object_id=, image= or position=")
    like = examples_by_id(embeddings, ids)
    if config.image is not None:
        from pipeline.face.alike import example_of_picture

        like = like.with_more(example_of_picture(embeddings, config.image, config.weights, config.tree))
    unlike = examples_by_id(embeddings, _ids(config.unlike))
    found = search(embeddings, tree, like, unlike, config.count, condition, tags, config.index)
    _write(config, tree, found, like)


def _write(config: SimilarConfig, tree: DecisionTree, found: Search, like: Examples) -> None:
    output, table = storage.absolute(config.output), found.table(tree)
    with storage.open_new(storage.join(output, "neighbours.parquet")) as stream:
        pq.write_table(table, stream)
    names = ", ".join(like.ids[:3]) + (f" and {len(like) - 3} more" if len(like) > 3 else "")
    part = [f"within {config.cone}"] * (config.cone is not None) + [config.where or ""]
    page = write_document(
        output,
        "Look-alikes",
        f"The {found.found:,} galaxies that look most like {names}"
        + "".join(f", {words}" for words in part if words)
        + ".",
        alike_sections(tree, found.rows, found.alike, found.cutouts),
        facts=[
            (f"{found.found:,}", "look-alikes"),
            (f"{table['similarity'][0].as_py():.3f}", "similarity of the first"),
            (f"{table['similarity'][-1].as_py():.3f}", "of the last"),
            (f"{len(found.rows) - found.found:,}", "examples"),
        ],
    )
    say(f"{found.found:,} look-alikes of {names}: {storage.join(output, 'neighbours.parquet')}")
    say(f"Report:    {page}")


def _ids(text: str | None) -> list[str]:
    return [] if text is None else [name.strip() for name in text.split(",") if name.strip()]
