"""How a publication is cited: CITATION.cff, and the metadata by which DataCite registers a DOI.

References
----------
Citation File Format 1.2.0; DataCite Metadata Schema 4.5 (as JSON).
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from pipeline.catalogue.export.provenance import METHOD, SOFTWARE
from pipeline.catalogue.publication.about import LICENCES, About, Creator
from pipeline.tree import DecisionTree

_KEYWORDS = ["astronomy", "galaxies", "galaxy morphology", "catalogue"]
_METHOD_DOI = "10.1093/mnras/stv632"
_MESSAGE = "If you use this catalogue, please cite it, and the papers whose method and questions it rests on."


def citation_cff(about: About, version: str, date: str) -> str:
    """A CITATION.cff of a data set.

    Parameters
    ----------
    date
        Of the edition, ``YYYY-MM-DD``.
    """
    fields: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": _MESSAGE,
        "type": "dataset",
        "title": about.title,
        "authors": [_cff_author(creator) for creator in about.creators],
        "version": version,
        "date-released": date,
        "license": about.licence,
        "doi": about.doi,
        "url": about.url,
        "abstract": about.description,
        "keywords": _KEYWORDS,
        "references": [
            {
                "type": "article",
                "title": "Rotation-invariant convolutional neural networks for galaxy morphology prediction",
                "authors": [
                    {"family-names": "Dieleman", "given-names": "Sander"},
                    {"family-names": "Willett", "given-names": "Kyle W."},
                    {"family-names": "Dambre", "given-names": "Joni"},
                ],
                "journal": "Monthly Notices of the Royal Astronomical Society",
                "volume": 450,
                "start": 1441,
                "year": 2015,
                "doi": _METHOD_DOI,
            }
        ],
    }
    filled = {name: value for name, value in fields.items() if value != ""}
    return yaml.safe_dump(filled, sort_keys=False, allow_unicode=True, width=110)


def datacite_json(about: About, tree: DecisionTree, version: str, date: str, rows: int, size: int) -> str:
    """The attributes of a DOI as DataCite takes them.

    Parameters
    ----------
    size
        Of all files, in bytes.
    """
    fields: dict[str, Any] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "doi": about.doi,
        "url": about.url,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Astronomical catalogue"},
        "creators": [_datacite_creator(creator) for creator in about.creators],
        "titles": [{"title": about.title}],
        "publisher": {"name": about.place},
        "publicationYear": date[:4],
        "version": version,
        "language": "en",
        "subjects": [{"subject": word} for word in _KEYWORDS],
        "dates": [{"date": date, "dateType": "Issued"}],
        "sizes": [f"{rows} galaxies", f"{size} bytes"],
        "formats": [
            "application/vnd.apache.parquet",
            "application/fits",
            "application/x-votable+xml",
            "text/tab-separated-values",
        ],
        "rightsList": [
            {
                "rights": about.licence,
                "rightsUri": LICENCES[about.licence],
                "rightsIdentifier": about.licence,
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        ],
        "descriptions": [
            {
                "description": about.description or f"{about.title}: {rows} galaxies.",
                "descriptionType": "Abstract",
            },
            {
                "description": f"Answers to the questions of the decision tree {tree.name}, by a network "
                f"that learnt from volunteers; made with {SOFTWARE}.",
                "descriptionType": "Methods",
            },
        ],
        "relatedIdentifiers": [
            {
                "relatedIdentifier": code,
                "relatedIdentifierType": "bibcode",
                "relationType": "Cites",
            }
            for code in dict.fromkeys((METHOD, tree.reference))
            if code
        ],
    }
    filled = {name: value for name, value in fields.items() if value != ""}
    return json.dumps(filled, indent=1, ensure_ascii=False) + "\n"


def _cff_author(creator: Creator) -> dict[str, str]:
    names = creator.family_and_given
    fields = {"family-names": names[0], "given-names": names[1]} if names else {"name": creator.name}
    if creator.orcid:
        fields["orcid"] = f"https://orcid.org/{creator.orcid}"
    if creator.affiliation and names:
        fields["affiliation"] = creator.affiliation
    return fields


def _datacite_creator(creator: Creator) -> dict[str, Any]:
    names = creator.family_and_given
    fields: dict[str, Any] = {"name": creator.name, "nameType": "Personal" if names else "Organizational"}
    if names:
        fields |= {"familyName": names[0], "givenName": names[1]}
    if creator.orcid:
        fields["nameIdentifiers"] = [
            {
                "nameIdentifier": f"https://orcid.org/{creator.orcid}",
                "nameIdentifierScheme": "ORCID",
                "schemeUri": "https://orcid.org",
            }
        ]
    if creator.affiliation:
        fields["affiliation"] = [{"name": creator.affiliation}]
    return fields
