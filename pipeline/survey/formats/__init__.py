"""The forms in which surveys keep cutouts, a module each; the survey file or the URI tells which."""

from pipeline.survey.formats.registry import open_source, recognise

__all__ = ["open_source", "recognise"]
