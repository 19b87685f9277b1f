"""Which version the answers are of: what decides them beside a run's input and settings, declared.

Declared are the modules whose code decides what a row of the catalogue says, and the libraries that do. A
fingerprint holds it all as one line, such as ``answers 1, torch 2.13, sep 1.4``, that people can read.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from importlib.metadata import version
from pathlib import Path

ANSWERS_VERSION = 1
"""Raise it, and list only the new code below, when answers become others from now on; also for a reason that
nothing here shows, such as a patch release of a library."""

SAME_ANSWERS = frozenset(
    {
        "abcca321be86bf3ba64206a63b3e702158967d2b0314748ec1e65fb23b8d1d60",
        "feec86b5026d34d0bf69ac01e51ba45b9d30e3ef00ceb1acee40792375039698",
        "e90ea01ff3053ba68f093d73881d172c7fde29c54d3127a70cf39c5a73b65722",
        "313c09a6c2b3a2413134af6af62979b83730eb204c716c0554f479a32e4fe6d2",
        "8de749320aaabdbe8afaaf9a81f3ff3fc3d2d35afc793e24eaab9046470a60dd",
        "db75f833725e459d8798efbb3045797c90d11ecf4f819587ded885cda7947592",
        "670b24f7b20df2ba78f41751d9578f50e8a12868246f2356b7e60c70b002c57d",
        "91865baee0a2dd9784ee4b27c2e523eb5e0bf501e66fcc001d3a3bb4844f0653",
        "ee5175161367f360b3b05afa8baf4bcaac2b4e03899bee8dcffdb95a9265cab5",
        "8f7ff35dfc9e0b1b732e7e0883127dc1d927509aa2d18d02744b103ce5ad4b36",
    }
)
"""Digests (see `code_digest`) of all code that gives the answers of `ANSWERS_VERSION`: what the version began
with, and what was only rewritten since. Code that isn't here is taken to give others."""

DECIDING_MODULES = (
    "averaging.cores",
    "averaging.fastest",
    "averaging.kernels.average",
    "averaging.kernels.convolution",
    "averaging.kernels.dense",
    "averaging.kernels.first_convolution",
    "averaging.kernels.largest",
    "averaging.kernels.layout",
    "averaging.kernels.library",
    "averaging.kernels.sampling",
    "averaging.kernels.steps",
    "averaging.kernels.tail",
    "averaging.kernels.turning",
    "averaging.naive",
    "averaging.shared",
    "averaging.single",
    "catalogue.clumps",
    "catalogue.embedding",
    "catalogue.rows",
    "clumps.detector",
    "clumps.finder",
    "clumps.light",
    "clumps.photometry",
    "clumps.weights",
    "companion",
    "confidence.appearance",
    "confidence.concentration",
    "confidence.familiarity",
    "confidence.intervals",
    "cutouts.contents",
    "cutouts.place",
    "cutouts.reading",
    "cutouts.shards",
    "cutouts.table",
    "cutting.cells",
    "cutting.cutting",
    "cutting.grid",
    "cutting.hips",
    "cutting.light",
    "cutting.opening",
    "cutting.plan",
    "cutting.resampling",
    "cutting.settings",
    "cutting.shards",
    "cutting.source",
    "geometry.affine",
    "geometry.crops",
    "geometry.transforms",
    "geometry.viewpoints",
    "images.axes",
    "images.bands",
    "images.decode",
    "images.detection",
    "images.fits",
    "images.frame",
    "images.jpeg",
    "images.layout",
    "images.petrosian",
    "images.recentre",
    "images.region",
    "images.rejection",
    "images.scrutiny",
    "network.checkpoint",
    "network.ensemble",
    "network.layers",
    "network.output",
    "network.sampling",
    "network.spec",
    "network.viewpoint_network",
    "representations.projection",
    "streaming.decode",
    "streaming.decoders",
    "streaming.model",
    "streaming.regions",
    "streaming.rows",
    "streaming.sink",
    "streaming.sources",
    "streaming.uncertainty",
    "survey.develop",
    "survey.formats.files",
    "survey.formats.hdf5",
    "survey.formats.indexed",
    "survey.formats.multimodal",
    "survey.formats.parquet",
    "survey.formats.pictures",
    "survey.formats.registry",
    "survey.formats.webdataset",
    "survey.settings",
    "survey.source",
    "tree.decision_tree",
    "tree.reading",
)
"""Modules below `pipeline` of which a fix can change what a row of the catalogue says."""

DECIDING_LIBRARIES = ("torch", "simplejpeg", "sep", "astropy", "scipy")
"""The network's arithmetic; the decoder of JPEG; sources and radii; FITS and colour; which good pixel
replaces a bad one. They count by their minor versions (``torch 2.13``): a patch release is there to mend,
seldom moves an answer, and is no reason to classify millions of galaxies anew. Libraries that round the
last digit at most (numpy) or give back what was stored (h5py, pyarrow, safetensors; Pillow, which reads
only PNG here) don't count."""


@functools.cache
def numerics() -> str:
    """What decides the answers of this code with these libraries, as a fingerprint holds it.

    Code that isn't among `SAME_ANSWERS` shows by the start of its digest: ``answers 1+3fa2b1c4d5e6``.
    """
    code = code_digest()
    answers = f"{ANSWERS_VERSION}" if code in SAME_ANSWERS else f"{ANSWERS_VERSION}+{code[:12]}"
    libraries = {name: ".".join(version(name).split(".")[:2]) for name in DECIDING_LIBRARIES}
    return ", ".join(f"{name} {value}" for name, value in ({"answers": answers} | libraries).items())


def difference(before: str, after: str) -> str:
    """What differs between two lines of `numerics`, in words: ``torch was 2.12, is 2.13``.

    Parameters
    ----------
    before
        Such a line, or what an earlier version of the pipeline had in its place.
    """
    new = _parts(after)
    if not before.startswith("answers "):
        return f"an earlier version's, which tells too little to compare, is answers {new['answers']}"
    old = _parts(before)
    return "; ".join(
        f"{name} was {old.get(name, 'none')}, is {new.get(name, 'none')}"
        for name in old | new
        if old.get(name) != new.get(name)
    )


@functools.cache
def code_digest() -> str:
    """sha256 of the code that decides the answers; comments, docstrings and layout are no part of it."""
    root = Path(__file__).parent
    sources = {name: root.joinpath(*name.split(".")).with_suffix(".py") for name in DECIDING_MODULES}
    code = [(name, meaning(path.read_text(encoding="utf-8"))) for name, path in sorted(sources.items())]
    return hashlib.sha256(repr(code).encode()).hexdigest()


def meaning(source: str) -> str:
    """What Python makes of a module, as text that is the same in every version of Python.

    The syntax tree, less docstrings and empty fields: `ast.dump` of Python 3.13 leaves these out and that of
    3.11 doesn't, and 3.12 gives functions and classes a new one.
    """
    return repr(_plain(ast.parse(source)))


def _plain(node: object) -> object:
    if isinstance(node, list):
        return [_plain(item) for item in node if not _is_docstring(item)]
    if isinstance(node, ast.AST):
        fields = [
            (name, _plain(value))
            for name, value in ast.iter_fields(node)
            if (value is not None and value != []) or name == "value"  # a constant's may be None
        ]
        return type(node).__name__, fields
    return repr(node)


def _is_docstring(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _parts(line: str) -> dict[str, str]:
    return dict(part.split(" ", 1) for part in line.split(", "))
