"""The verbs that work on a catalogue's embeddings."""

from __future__ import annotations

from jobs.words import Catalogue, ConfigFile, PrintConfig, Words, configure


def fit(
    catalogue: Catalogue,
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Learn a new task from few labels, and answer it for every galaxy of a catalogue.

    `tuningfork fit CATALOGUE labels=rings.csv output=DIR [column=ring]`

    `tuningfork fit CATALOGUE probe=DIR output=OTHER`

    The catalogue is one made with `embedding=true`. The CSV has `object_id` and a column of yes and no, of
    fractions from 0 to 1, or of names of classes. Writes the probe (`probe.json`), its probabilities for all
    galaxies (`answers.parquet`), and a page on how far to trust them. With `probe=` what was learnt before
    answers for this catalogue.
    """
    from jobs import fit as job

    job.run(configure(job.FitConfig, config, words, print_config, catalogue=catalogue))


def discover(
    catalogue: Catalogue,
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Rank a catalogue's galaxies by how odd they are, or by how interesting they are to you.

    `tuningfork discover CATALOGUE output=DIR [serve=true | ratings=FILE]`

    The catalogue is one made with `embedding=true`. With `serve=true` you rate galaxies from 0 to 5 on a page
    of this machine, the next ones being chosen by what you rated before; the ratings of several people go
    together with `ratings=[a.jsonl,b.jsonl]`. Writes `ranking.parquet`, `scores.parquet` of all galaxies,
    `report.html`, and `rate.html`, on which to rate without a server.
    """
    from jobs import discover as job

    job.run(configure(job.DiscoverConfig, config, words, print_config, catalogue=catalogue))
