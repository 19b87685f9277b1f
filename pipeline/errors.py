"""The errors that a user of the pipeline is meant to read."""


class InputError(Exception):
    """Bad input or usage: names the thing, its value, what was expected and what to do (exit status 2)."""


class RunError(Exception):
    """The run can't go on for a reason outside its input; the same command continues it (exit status 1)."""


class StorageTrouble(RunError):
    """The store failed, which says nothing about the file: throttled, cut off, its credentials expired."""


class HeldError(Exception):
    """Someone else holds the output (exit status 3)."""
