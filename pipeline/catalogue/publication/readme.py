"""The README of a publication, for those who come upon it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.provenance import SOFTWARE
from pipeline.catalogue.publication.about import LICENCES, About

_READING = {
    "fits": (
        "astropy",
        'from astropy.table import Table\n\ngalaxies = Table.read("galaxies.fits")\n'
        'print(galaxies["{column}"].mean())',
    ),
    "votable": ("TOPCAT and STILTS", "stilts tpipe in=galaxies.vot cmd='every 1000' omode=stats"),
    "hats": (
        "LSDB",
        'import lsdb\n\ngalaxies = lsdb.open_catalog("hats")\n'
        "some = galaxies.cone_search({ra:.4f}, {dec:.4f}, {arcsec:.0f})\n"
        "print(some.compute())",
    ),
    "moc": (
        "mocpy",
        'from mocpy import MOC\n\ncovered = MOC.from_fits("coverage.fits")\nprint(covered.sky_fraction)',
    ),
    "hips": (
        "Aladin Lite, on a web page",
        "A.init.then(() => {{\n"
        "  const aladin = A.aladin('#sky', {{target: '{ra:.4f} {dec:.4f}', fov: {width:.2f}}});\n"
        "  aladin.addCatalog(A.catalogHiPS('{url}/hips', {{name: '{name}'}}));\n"
        "}});",
    ),
}
_LANGUAGES = {"votable": "sh", "hips": "js"}


@dataclass(frozen=True)
class Contents:
    """What is in an edition.

    Attributes
    ----------
    tables
        Which of ``fits`` and ``votable`` it has.
    centre
        Right ascension, declination and width of a view of it, in degrees.
    notes
        What its readers have to know, one sentence each.
    """

    galaxies: int
    unplaced: int
    sky_fraction: float
    coverage_order: int
    tables: Sequence[str]
    rank: str
    version: str
    date: str
    centre: tuple[float, float, float]
    notes: Sequence[str]


def readme(source: ExportedRows, about: About, contents: Contents) -> str:
    """What it is, its files and columns, how it was made, how to cite and how to read it, in Markdown."""
    parts = [
        f"# {about.title}",
        about.description,
        f"{contents.galaxies:,} galaxies, version {contents.version} of {contents.date}, by "
        f"{about.creators_in_words}. Each row is a galaxy, and its columns are answers to the questions of "
        f"the decision tree `{source.tree.name}`. {contents.sky_fraction:.3%} of the sky has galaxies of it.",
        "## Files",
        _files(contents),
        "## How to cite it",
        _citation(about, contents),
        "## Licence",
        f"[{about.licence}]({LICENCES[about.licence]})",
        "## How it was made",
        _making(source),
        *([] if not contents.notes else ["## What to know", *(f"- {note}" for note in contents.notes)]),
        "## How to read it",
        *_reading(source, about, contents),
        "## Columns",
        "A column `<question>_<answer>` is the share of *all* volunteers that are expected to give this "
        "answer, so that the answers of a question sum to the chance that it was asked.",
        _columns(source),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _files(contents: Contents) -> str:
    rows = [
        ("`galaxies.fits`", "all columns, FITS binary table") if "fits" in contents.tables else None,
        ("`galaxies.vot`", "all columns but vectors, VOTable 1.4") if "votable" in contents.tables else None,
        ("`hats/`", "all columns, Parquet partitioned by HEALPix (HATS), for LSDB and pandas"),
        ("`hips/`", f"progressive catalogue (HiPS) for Aladin, ranked by `{contents.rank}`"),
        (
            "`coverage.fits`, `coverage.json`",
            f"where on the sky it has galaxies (MOC 2.0), in cells of order {contents.coverage_order}",
        ),
        ("`CITATION.cff`, `datacite.json`", "how to cite it; metadata for a DOI (DataCite 4.5)"),
        ("`manifest.json`", "size and sha256 of each file"),
    ]
    return _table(("file", "what"), [row for row in rows if row])


def _citation(about: About, contents: Contents) -> str:
    names = "; ".join(creator.name for creator in about.creators)
    doi = f" https://doi.org/{about.doi}" if about.doi else ""
    return (
        f"{names} ({contents.date[:4]}): {about.title}, version {contents.version}. {about.place}.{doi}\n\n"
        "Please cite the papers of the method and of the questions, too; their bibcodes are below."
    )


def _making(source: ExportedRows) -> str:
    rows = [(item.meaning, f"`{item.value}`") for item in source.origin]
    return f"Made with {SOFTWARE}.\n\n{_table(('what', 'value'), rows)}"


def _reading(source: ExportedRows, about: About, contents: Contents) -> list[str]:
    ra, dec, width = contents.centre
    values = {
        "column": source.tree.columns[0],
        "ra": ra,
        "dec": dec,
        "width": width,
        "arcsec": width * 1800,
        "url": about.url.rstrip("/") or "https://YOUR.SERVER/FOLDER",
        "name": about.slug,
    }
    parts = []
    for form, (reader, code) in _READING.items():
        if form in ("fits", "votable") and form not in contents.tables:
            continue
        language = _LANGUAGES.get(form, "python")
        parts.append(f"With {reader}:\n\n```{language}\n{code.format(**values)}\n```")
    return parts


def _columns(source: ExportedRows) -> str:
    rows = []
    for field in source.schema:
        about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        text = about.get("description", "").replace("|", "\\|")
        rows.append((f"`{field.name}`", str(field.type), about.get("unit", ""), text))
    return _table(("column", "type", "unit", "what"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
