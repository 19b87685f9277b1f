"""Who one is to the Zooniverse: told by the environment, and by nothing that is written down."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from pipeline.errors import InputError, redacted

CLIENT = ("PANOPTES_CLIENT_ID", "PANOPTES_CLIENT_SECRET")
USER = ("PANOPTES_USERNAME", "PANOPTES_PASSWORD")
"""The variables that panoptes-client reads."""


@dataclass(frozen=True)
class Credentials:
    """An application's id and secret, or a user's name and password; its ``repr`` holds neither.

    Attributes
    ----------
    variables
        The environment variables that they come from.
    """

    variables: tuple[str, str]
    name: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def of_client(self) -> bool:
        """Whether they are an application's."""
        return self.variables == CLIENT

    def concealed(self, text: str) -> str:
        """The text without name, secret or what stands before an ``@`` in URIs, in one line."""
        for word in (self.secret, self.name):
            text = text.replace(word, "…")
        return redacted(" ".join(text.split()))


def credentials() -> Credentials:
    """Those of the environment; an application's before a user's.

    Raises
    ------
    InputError
        If there are none, or half of them.
    """
    for variables in (CLIENT, USER):
        name, secret = (os.environ.get(variable, "") for variable in variables)
        if name and secret:
            return Credentials(variables, name, secret)
        if name or secret:
            there, missing = variables if name else variables[::-1]
            raise InputError(
                f"{there} is set and {missing} isn't; expected both, or neither, in the environment"
            )
    raise InputError(
        f"no credentials for the Zooniverse; set {' and '.join(CLIENT)} (an application of yours at "
        f"https://panoptes.zooniverse.org/oauth/applications), or {' and '.join(USER)}, in the environment"
    )
