"""What a progressive catalogue says of itself: ``properties``, ``metadata.xml`` and ``Moc.fits``."""

from __future__ import annotations

from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.provenance import SOFTWARE, by_name
from pipeline.catalogue.export.votable import header_xml
from pipeline.catalogue.publication.about import LICENCES, About
from pipeline.catalogue.publication.census import Census
from pipeline.catalogue.publication.coverage import as_file, coverage, view_of
from pipeline.catalogue.publication.editions import Edition
from pipeline.catalogue.publication.progressive import FOLDER, Progressive
from pipeline.catalogue.publication.tiles import FIRST_ORDER

HIPS_VERSION = "1.4"
"""What the recommendation HiPS 1.0 calls itself in this file."""


def publish_hips_metadata(
    source: ExportedRows, about: About, census: Census, made: Progressive, edition: Edition, now: str
) -> None:
    """Write them.

    Parameters
    ----------
    now
        The time in UTC, ``YYYY-mm-ddTHH:MM:SS``.
    """
    properties = hips_properties(source, about, census, made, now)
    lines = "".join(f"{name:<20} = {value}\n" for name, value in properties.items())
    edition.put(f"{FOLDER}/properties", lines.encode())
    columns = header_xml(made.columns, source.origin).encode()
    for name in ("metadata.xml", "Metadata.xml"):  # the recommendation's name, and Aladin Lite's
        edition.put(f"{FOLDER}/{name}", columns)
    edition.put(f"{FOLDER}/Moc.fits", as_file(census.cells, "fits"))


def hips_properties(
    source: ExportedRows, about: About, census: Census, made: Progressive, now: str
) -> dict[str, str]:
    """The keywords of ``properties`` (HiPS 1.0, section 4.4.1), those that have a value."""
    ra, dec, width = view_of(census.cells)
    time = f"{now[:16]}Z"
    origin = by_name(source.origin)
    properties = {
        "creator_did": about.ivoid or f"ivo://UNK.AUTH/C/{about.slug}",
        "obs_collection": about.slug,
        "obs_title": about.title,
        "obs_description": about.description or f"Answers to the questions of the tree {source.tree.name}",
        "obs_copyright": f"{about.creators_in_words}; {about.licence}",
        "obs_copyright_url": LICENCES[about.licence],
        "prov_progenitor": f"run {origin['run']}" if "run" in origin else "",
        "bib_reference": origin.get("article", ""),
        "hips_doi": about.doi,
        "hips_creator": about.creators_in_words,
        "hips_copyright": about.licence,
        "hips_builder": SOFTWARE,
        "hips_version": HIPS_VERSION,
        "hips_creation_date": time,
        "hips_release_date": time,
        "hips_service_url": f"{about.url.rstrip('/')}/{FOLDER}" if about.url else "",
        "hips_status": "public master clonable",
        "hips_frame": "equatorial",
        "hips_order": str(made.order),
        "hips_order_min": str(FIRST_ORDER),
        "hips_tile_format": "tsv",
        "hips_cat_nrows": str(census.placed),
        "hips_nb_tiles": str(made.tiles),
        "hips_initial_ra": f"{ra:.5f}",
        "hips_initial_dec": f"{dec:.5f}",
        "hips_initial_fov": f"{width:.5f}",
        "moc_sky_fraction": f"{coverage(census.cells).sky_fraction:.9g}",
        "dataproduct_type": "catalog",
        "client_category": "Catalog",
    }
    return {name: value for name, value in properties.items() if value}
