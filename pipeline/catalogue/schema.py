"""Columns of the catalogue, and of the quarantine."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from pipeline.catalogue.clumps import CLUMP, CLUMP_COUNT, CLUMPS
from pipeline.catalogue.embedding import EMBEDDING, NUMBERS, STEP, with_projection
from pipeline.catalogue.making import with_making
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.protocol.plan import Plan
from pipeline.tree import LEAST_ASKED, DecisionTree

CLASS, CLASS_CONFIDENCE = "class", "class_confidence"
"""Names of the columns; a catalogue of schema 1 has neither."""


def tree_digest(tree: DecisionTree) -> str:
    """sha256 of all that decides what a tree's probabilities mean; part of a run's fingerprint."""
    return digest(tree.name, tree.columns, sorted(tree.gates.items()))


def classes_digest(tree: DecisionTree) -> str:
    """sha256 of all that decides a row's class and whether it has an answer, beside its probabilities."""
    return digest([(named.name, sorted(named.answers)) for named in tree.classes], LEAST_ASKED)


def catalogue_schema(
    tree: DecisionTree,
    uncertainty: bool = False,
    embedding: bool = False,
    rejection: bool = False,
    clumps: bool = False,
    classes: bool = True,
) -> pa.Schema:
    """Columns of the catalogue for a decision tree, plain Arrow types only.

    ``object_id, ra, dec``; one float32 column an answer, named ``<question>_<answer>``, in the tree's order;
    the class and its confidence; per question the most probable answer, null where fewer than `LEAST_ASKED`
    of the volunteers would be asked, and the agreement a(p), null and NaN-free where nobody would; with
    `uncertainty` how sure the answers are (see `Uncertainty`); with `embedding` the galaxy's vector; with
    `rejection` whether the picture has a galaxy; with `clumps` those of the galaxy; then the provenance.
    Without `classes` as catalogues of schema 1 have them: no class, and an answer wherever the question has
    any probability.

    The metadata of each field are its `description`, its `ucd` (the IVOA's UCD1+,
    https://www.ivoa.net/documents/UCD1+/) and, where it has one, its `unit`; every export that can say them
    takes them from here.

    Raises
    ------
    InputError
        If an answer's key makes its column collide with another of the catalogue's.
    """
    fields = [
        _field("object_id", pa.string(), "Identifier of the galaxy", "meta.id;meta.main", nullable=False),
        _field("ra", pa.float64(), "Right ascension", "pos.eq.ra;meta.main", unit="deg"),
        _field("dec", pa.float64(), "Declination", "pos.eq.dec;meta.main", unit="deg"),
    ]
    texts = {
        f"{q.key}_{a.key}": f"Predicted share of all volunteers who would answer {a.text!r} to {q.text!r}"
        for q in tree.questions
        for a in q.answers
    }
    fields += [
        _field(column, pa.float32(), texts[column], "stat.probability;src.morph", nullable=False)
        for column in tree.columns
    ]
    fields += _class_fields() if classes else []
    few = f"; null where fewer than {LEAST_ASKED:.0%} of all volunteers would be asked" if classes else ""
    for question in tree.questions:
        asked = f"to {question.text!r}"
        fields += [
            _field(
                f"{question.key}_answer",
                pa.string(),
                f"Most probable answer {asked}{few}",
                "meta.code.class;src.morph",
            ),
            _field(
                f"{question.key}_agreement",
                pa.float32(),
                f"How far volunteers would agree on the answer {asked}: 1 - entropy / log n, 0 to 1",
                "stat.confidenceLevel;src.morph",
            ),
        ]
    if uncertainty:
        fields += _uncertainty_fields(tree)
    if embedding:
        fields.append(_embedding_field())
    if rejection:
        fields += REJECTION_FIELDS
    if clumps:
        fields += _clump_fields()
    fields += _provenance_fields()
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"tree {tree.name!r} makes two catalogue columns {twice[0]!r}; rename the answer's key"
        )
    return pa.schema(fields)


def planned_schema(tree: DecisionTree, plan: Plan) -> pa.Schema:
    """Columns of the catalogue that a run writes, which say what made them.

    See `pipeline.catalogue.making`; that of embeddings says by which projection they are.
    """
    schema = catalogue_schema(
        tree, plan.uncertainty, plan.embedding is not None, plan.rejection, plan.clumps, plan.classes
    )
    schema = with_making(schema, plan)
    return schema if plan.embedding is None else with_projection(schema, plan.embedding)


def reading_columns(tree: DecisionTree) -> list[str]:
    """Names of the columns that follow from a row's probabilities."""
    of_questions = [f"{question.key}_{end}" for question in tree.questions for end in ("answer", "agreement")]
    return [CLASS, CLASS_CONFIDENCE, *of_questions]


def uncertainty_columns(tree: DecisionTree) -> list[str]:
    """Names of the columns that a catalogue with uncertainty has more than one without."""
    return [field.name for field in _uncertainty_fields(tree)]


def holds_uncertainty(tree: DecisionTree, columns: Iterable[str]) -> bool:
    """Whether a catalogue with these columns says how sure its answers are."""
    return set(uncertainty_columns(tree)) <= set(columns)


def _class_fields() -> list[pa.Field]:
    return [
        _field(
            CLASS,
            pa.string(),
            "Class to which the most probable path through the questions leads; null if it leads to none",
            "meta.code.class;src.morph",
        ),
        _field(
            CLASS_CONFIDENCE,
            pa.float32(),
            "Product of the probabilities along the path to the class, up to the answer that decides it",
            "stat.confidenceLevel;src.morph",
        ),
    ]


def _provenance_fields() -> list[pa.Field]:
    """Where a row comes from."""
    return [
        _field("run", pa.string(), "Run that wrote the row", "meta.id;meta.dataset", nullable=False),
        _field(
            "weights",
            pa.string(),
            "sha256 of the network's weight file",
            "meta.checksum;meta.software",
            nullable=False,
        ),
        _field(
            "input", pa.string(), "Input shard and row of the galaxy", "meta.ref;meta.file", nullable=False
        ),
        _field("content", pa.string(), "Hash of the input row's content", "meta.checksum", nullable=False),
        _field(
            "stale",
            pa.string(),
            "Null while the input has the galaxy; otherwise what has become of it there",
            "meta.code",
        ),
    ]


def _uncertainty_fields(tree: DecisionTree) -> list[pa.Field]:
    fields = [
        _field(
            f"{column}_{end}",
            pa.float32(),
            f"{percent} % quantile of the share of volunteers who would give the answer {column}",
            f"stat.probability;stat.{bound};src.morph",
            nullable=False,
        )
        for column in tree.columns
        for end, percent, bound in (("low", 5, "min"), ("high", 95, "max"))
    ]
    fields += [
        _field(
            f"{question.key}_volunteers",
            pa.float32(),
            f"Number of volunteers' votes that the predicted answer to {question.text!r} is worth",
            "stat.weight;src.morph",
            nullable=False,
        )
        for question in tree.questions
    ]
    return [
        *fields,
        _field(
            "out_of_place",
            pa.float32(),
            "How unlike the training pictures this picture is; 1 in 20 pictures of their kind exceed 1",
            "stat.likelihood;instr",
            nullable=False,
        ),
        _field(
            "frame_ratio",
            pa.float32(),
            "Size of the galaxy relative to its frame, divided by the training pictures' median",
            "phys.size;arith.ratio",
            nullable=False,
        ),
    ]


def _embedding_field() -> pa.Field:
    return _field(
        EMBEDDING,
        pa.binary(),
        f"Embedding: what the network sees in the galaxy, a vector of {NUMBERS} int8 in units of {STEP}",
        "src.morph.param;meta.modelled",
        nullable=False,
    )


def _clump_fields() -> list[pa.Field]:
    return [
        _field(CLUMP_COUNT, pa.int64(), "Number of star-forming clumps found", "meta.number", nullable=False),
        _field(
            CLUMPS,
            pa.binary(),
            f"Star-forming clumps: for each {CLUMP.itemsize} bytes, little-endian, of "
            + ", ".join(f"{name} (float{8 * CLUMP[name].itemsize})" for name in CLUMP.names or ()),
            "src.morph.param;meta.modelled",
            nullable=False,
        ),
    ]


def _field(
    name: str, kind: pa.DataType, description: str, ucd: str, *, unit: str = "", nullable: bool = True
) -> pa.Field:
    metadata = {"description": description, "ucd": ucd} | ({"unit": unit} if unit else {})
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


REJECTION_FIELDS = [
    _field(
        "rejection",
        pa.string(),
        "What the picture shows instead of a galaxy: star, blend, trail, saturated, empty; none if a galaxy",
        "meta.code.class",
        nullable=False,
    ),
    *(
        _field(name, pa.float32(), text, ucd, nullable=False)
        for name, text, ucd in (
            (
                "not_galaxy",
                "Probability that there is no galaxy in the middle of the picture",
                "stat.probability",
            ),
            (
                "point_ratio",
                "Half-light radius divided by that of the most compact other source; 0 if none is bright",
                "phys.angSize;arith.ratio",
            ),
            (
                "trail",
                "Largest share of a line across the frame that stands out from its surroundings",
                "meta.code.qual",
            ),
            ("saturated", "Share of the frame's pixels that are at maximum brightness", "instr.saturation"),
            (
                "neighbour",
                "Light of the brightest neighbour within 0.3 frames, divided by the galaxy's own",
                "phot.flux;arith.ratio",
            ),
        )
    ),
]
"""Columns that say whether a picture has a galaxy (see `pipeline.images.rejection.Verdict`)."""
