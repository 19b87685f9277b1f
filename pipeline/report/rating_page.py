"""The page on which a researcher rates galaxies, by a server or from its file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report.templates import joined, render_page

_WORDS = ("not at all", "hardly", "a little", "fairly", "very", "extremely")


@dataclass(frozen=True)
class Card:
    """A galaxy to rate, and its picture (WebP)."""

    object_id: str
    picture: bytes

    def as_json(self) -> dict[str, str]:
        """As the page's script takes it."""
        encoded = base64.b64encode(self.picture).decode("ascii")
        return {"id": self.object_id, "picture": f"data:image/webp;base64,{encoded}"}


def rating_page(title: str, cards: Sequence[Card], rated: int, *, served: bool) -> str:
    """The page.

    Parameters
    ----------
    rated
        How many galaxies were rated before.
    served
        Whether it talks to the server that it comes from; else it gives its reader a file.
    """
    key = hashlib.sha256("\n".join(card.object_id for card in cards).encode()).hexdigest()[:16]
    data = {"cards": [card.as_json() for card in cards], "served": served, "rated": rated, "key": key}
    # "<" could end the element that holds it.
    text = json.dumps(data).replace("<", "\\u003c")
    return render_page(
        "rating.html.j2",
        styles=[joined("base.css", "document.css", "rating.css")],
        scripts=[joined("basics.js", "theme.js", "rating.js", "ready.js")],
        helpers={},
        title=title,
        kicker="Galaxy morphology",
        figures=(),
        lead="Rate what interests you. The next ones are chosen by what you rated before.",
        served=served,
        words=_WORDS,
        data=Markup(text),  # noqa: S704
    )
