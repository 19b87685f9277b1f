"""What an export says of the answers: shares of all volunteers, fractions of those who are asked, or both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipeline.catalogue.export.provenance import Item, Rights, origin
from pipeline.catalogue.schema import uncertainty_columns
from pipeline.catalogue.snapshot import Progress, Snapshot, silent
from pipeline.errors import InputError
from pipeline.tree import LEAST_ASKED, DecisionTree, Fraction, compute_fractions


@dataclass(frozen=True)
class Answers:
    """The columns of answers that an export has.

    Attributes
    ----------
    cumulative
        Whether those of the catalogue are among them, of all volunteers, and their bounds.
    fractions
        Those of the volunteers who are asked the question.
    least_asked
        Share of all volunteers under which a fraction is null.
    """

    cumulative: bool = True
    fractions: tuple[Fraction, ...] = ()
    least_asked: float = LEAST_ASKED


CUMULATIVE = Answers()
"""The columns as the catalogue has them."""


@dataclass(frozen=True)
class ExportedRows:
    """The rows of a snapshot with the columns that an export has, as `Snapshot` gives them.

    Attributes
    ----------
    snapshot
        Where they come from; its schema may leave columns out.
    rights
        What the one who exports says of them.
    """

    snapshot: Snapshot
    tree: DecisionTree
    answers: Answers = CUMULATIVE
    rights: Rights = field(default_factory=Rights)

    each: ClassVar[str] = "galaxy"
    """What a row is."""

    @property
    def rows(self) -> int:
        """How many rows the export takes."""
        return self.snapshot.rows

    @property
    def all_rows(self) -> int:
        """Rows of the snapshot, wherever on the sky."""
        return self.snapshot.all_rows

    @property
    def origin(self) -> list[Item]:
        """Where they come from."""
        return origin(self.snapshot.provenance, self.tree, self.rights)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the export: its fractions stand where the catalogue has its answers.

        Raises
        ------
        InputError
            If two have the same name.
        """
        after = self.tree.columns[-1]
        dropped = set() if self.answers.cumulative else self._cumulative
        fields: list[pa.Field] = []
        for column in self.snapshot.schema:
            fields += [] if column.name in dropped else [column]
            if column.name == after:
                fields += [_field(self.tree, one, self.answers.least_asked) for one in self.answers.fractions]
        names = [column.name for column in fields]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(
                f"the export would have two columns {twice[0]!r}; give the crosswalk's, or the answer of the "
                "tree, another name"
            )
        return pa.schema(fields)

    def batches(
        self, columns: Sequence[str] | None = None, progress: Progress = silent
    ) -> Iterator[pa.RecordBatch]:
        """See `Snapshot.batches`."""
        names = self.schema.names if columns is None else list(columns)
        wanted = [fraction for fraction in self.answers.fractions if fraction.name in names]
        if not wanted:
            yield from self.snapshot.batches(names, progress)
            return
        schema = pa.schema([self.schema.field(name) for name in names])
        computed = {fraction.name for fraction in wanted}
        stored = [name for name in names if name not in computed]
        for batch in self.snapshot.batches(list(dict.fromkeys([*stored, *self.tree.columns])), progress):
            answers = np.stack([batch[name].to_numpy() for name in self.tree.columns], axis=1)
            values = compute_fractions(self.tree, wanted, answers, self.answers.least_asked)
            arrays = {name: batch[name] for name in stored} | {
                fraction.name: pa.array(column, from_pandas=True)  # NaN is null
                for fraction, column in zip(wanted, values.T, strict=True)
            }
            yield pa.RecordBatch.from_arrays([arrays[name] for name in names], schema=schema)

    @property
    def _cumulative(self) -> set[str]:
        """The catalogue's answers, and what bounds them."""
        bounds = [name for name in uncertainty_columns(self.tree) if name.endswith(("_low", "_high"))]
        return {*self.tree.columns, *bounds}


def _field(tree: DecisionTree, fraction: Fraction, least_asked: float) -> pa.Field:
    question = next(question for question in tree.questions if question.key == fraction.question)
    texts = " or ".join(repr(answer.text) for answer in question.answers if answer.key in fraction.answers)
    few = f"fewer than {least_asked:.3g} of all are" if least_asked else "nobody is"
    about = {
        "description": f"Fraction answering {texts} of those asked {question.text!r}; null where {few} asked",
        "ucd": "stat.probability;src.morph",
    }
    return pa.field(fraction.name, pa.float32(), metadata=about)
