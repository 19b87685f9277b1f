"""The errors that a user of the pipeline is meant to read, and what no one is meant to read in them."""

import re

_KEYS_IN_URI = re.compile(
    # NAME:PASSWORD@ of any scheme; HOST:PORT/ is none. A path object makes one slash of two.
    r"(\w{2,}:/{1,2})[^\s/@:]*:(?!\d{1,5}(?:/|\s|$))\S*@"
    # A name alone is a secret here; elsewhere it is a user, or a container.
    r"|\b((?:s3a?|https?):/{1,2})[^\s/]*@",
    re.IGNORECASE,
)


class InputError(Exception):
    """Bad input or usage: names the thing, its value, what was expected and what to do (exit status 2)."""


class RunError(Exception):
    """The run can't go on for a reason outside its input; the same command continues it (exit status 1)."""


class StorageTrouble(RunError):
    """The store failed, which says nothing about the file: throttled, cut off, its credentials expired."""


class HeldError(Exception):
    """Someone else holds the output (exit status 3)."""


def redacted(text: str) -> str:
    """The text, without the names, passwords and tokens that stand before an ``@`` in URIs.

    Examples
    --------
    >>> redacted("cannot read https://name:password@host/file")
    'cannot read https://…@host/file'
    """
    return _KEYS_IN_URI.sub(lambda match: f"{match[1] or match[2]}…@", text)
