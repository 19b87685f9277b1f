"""Map: a catalogue's galaxies in a plane, look-alikes side by side, on one page."""

from __future__ import annotations

from pydantic import Field

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.report.document import write_document
from pipeline.representations import open_embeddings
from pipeline.tree import GALAXY_ZOO_2, load_tree


class MapConfig(StrictModel):
    """What `tuningfork map` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output made with ``embedding=true``.
    output
        Where the page and the table go.
    galaxies
        At most how many galaxies are on the map; from a larger catalogue they are drawn at random.
    pictures
        How many galaxies have an image, spread evenly over the map.
    tree
        The decision tree whose answers the catalogue holds.
    as_of
        Version, or date and time, of an older snapshot; the current one if not given.
    seed
        Seed for drawing the galaxies and for the layout.
    """

    catalogue: TablePlace
    output: Output
    galaxies: int = Field(default=100_000, gt=0, le=200_000)
    pictures: int = Field(default=4_000, ge=0, le=5_000)
    tree: TreeFile = str(GALAXY_ZOO_2)
    as_of: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**31)


def run(config: MapConfig) -> None:
    """Lay the galaxies out, and write the table and the page.

    Raises
    ------
    InputError
        If the catalogue has no embeddings or too few galaxies, or PaCMAP isn't there.
    """
    tree, output = load_tree(config.tree), storage.absolute(config.output)
    embeddings = open_embeddings(config.catalogue, tree, config.as_of)
    # scikit-learn takes seconds to load: only settings that are sound pay for it.
    from pipeline.report.map_page import map_section
    from pipeline.run.mapping import MAP, draw_map, write_places

    drawn = draw_map(embeddings, tree, config.galaxies, config.pictures, config.seed)
    write_places(storage.join(output, MAP), drawn)
    page = write_document(
        output,
        "Map of galaxies",
        "Galaxies that look alike to the network lie side by side.",
        [map_section(tree, drawn)],
        facts=[
            (f"{len(drawn.galaxies):,}", "galaxies on the map"),
            (f"{embeddings.rows:,}", "in the catalogue"),
            (f"{len(drawn.pictures):,}", "with a picture"),
        ],
    )
    say(f"{len(drawn.galaxies):,} galaxies with their places: {storage.join(output, MAP)}")
    say(f"Report:    {page}")
