"""Cutouts by position: which tile of a survey holds an object best, and its pixels cut from there."""
