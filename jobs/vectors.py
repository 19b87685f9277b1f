"""The verbs that work on a catalogue's embeddings."""

from __future__ import annotations

from jobs.words import Catalogue, ConfigFile, PrintConfig, Words, configure


def similar(
    catalogue: Catalogue,
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Find the galaxies of a catalogue that look like some examples.

    `tuningfork similar CATALOGUE object_id=ID,… output=DIR [image=FILE] [position=RA,DEC] [unlike=ID,…]
    [where="bar_yes > 0.5"] [cone=RA,DEC,RADIUS] [count=24] [tags=CSV]`

    The catalogue must have been made with `embedding=true`. Writes `DIR/report.html`, which shows the most
    similar galaxies with their images and what they have in common with the examples, and
    `DIR/neighbours.parquet`.
    """
    from jobs import similar as job

    job.run(configure(job.SimilarConfig, config, words, print_config, catalogue=catalogue))


def index(
    catalogue: Catalogue,
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Index a catalogue, to find similar galaxies without reading all of it.

    `tuningfork index CATALOGUE output=URI`

    The catalogue must have been made with `embedding=true`. The index has one shard per tile of the sky; Ray
    builds them. Run again after a `refresh`, it rebuilds the shards whose galaxies have changed; a build that
    was stopped continues. It needs the package faiss-cpu: `pip install "tuningfork[index]"`.
    """
    from jobs import index as job

    job.run(configure(job.IndexConfig, config, words, print_config, catalogue=catalogue))


def map_galaxies(
    catalogue: Catalogue,
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Draw a map of a catalogue's galaxies, with similar galaxies side by side.

    `tuningfork map CATALOGUE output=DIR [galaxies=100000] [pictures=4000]`

    The catalogue must have been made with `embedding=true`. Writes `DIR/report.html`, a page to zoom into, to
    colour by any answer and to export regions from, and `DIR/map.parquet`, the coordinates on the map. It
    needs the package pacmap: `pip install "tuningfork[map]"`.
    """
    from jobs import map as job

    job.run(configure(job.MapConfig, config, words, print_config, catalogue=catalogue))


def fit(
    catalogue: Catalogue,
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Train a classifier of your own with few labels, and apply it to every galaxy of a catalogue.

    `tuningfork fit CATALOGUE labels=rings.csv output=DIR [column=ring]`

    `tuningfork fit CATALOGUE probe=DIR output=OTHER`

    The catalogue must have been made with `embedding=true`. The CSV has `object_id` and a column of yes and
    no, of fractions from 0 to 1, or of names of classes. Writes the classifier (`probe.json`), its
    probabilities for all galaxies (`answers.parquet`), and a page on how far to trust them. With `probe=`, an
    earlier classifier is applied to this catalogue.
    """
    from jobs import fit as job

    job.run(configure(job.FitConfig, config, words, print_config, catalogue=catalogue))


def discover(
    catalogue: Catalogue,
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Rank a catalogue's galaxies by how unusual they are, or by how interesting they are to you.

    `tuningfork discover CATALOGUE output=DIR [serve=true | ratings=FILE]`

    The catalogue must have been made with `embedding=true`. With `serve=true` you rate galaxies from 0 to 5
    on a page on this machine; each proposal depends on your ratings so far. The ratings of several people are
    combined with `ratings=[a.jsonl,b.jsonl]`. Writes `ranking.parquet`, `scores.parquet` with all galaxies,
    `report.html`, and `rate.html`, for rating without a server.
    """
    from jobs import discover as job

    job.run(configure(job.DiscoverConfig, config, words, print_config, catalogue=catalogue))
