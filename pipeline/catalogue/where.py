"""Conditions on a catalogue's columns as a person writes them: ``bar_yes > 0.5 and not odd_yes > 0.3``.

They are read by Python's own parser, of whose language only comparisons of a column with values, and ``and``,
``or`` and ``not`` are understood; nothing is ever evaluated.
"""

from __future__ import annotations

import ast
import difflib
import io
import operator
import tokenize
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pa_dataset

from pipeline.catalogue.schema import CLASS
from pipeline.errors import InputError

TAG = "tag"
"""Not a column: ``tag == 'ring'`` holds for galaxies that have this tag, whatever others they have."""

Tags = Mapping[str, Collection[str]]
"""Ids of the galaxies that have each tag."""

_KEYWORDS = {"class_": CLASS}
"""Columns whose names are keywords of Python, by what they are called while a condition is read."""

_EXAMPLE = "bar_yes > 0.5 and how_rounded_answer in ('completely', 'in_between')"
_LONGEST = 2_000

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda column, values: column.isin(values),
    ast.NotIn: lambda column, values: ~column.isin(values),
}
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
}
"""What ``0.5 < bar_yes`` is with the column first."""


@dataclass(frozen=True)
class Condition:
    """Which rows are wanted.

    Attributes
    ----------
    columns
        Names of the columns that it reads.
    expression
        What Arrow filters by.
    """

    columns: tuple[str, ...]
    expression: pa_dataset.Expression

    def holds(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Whether each row is wanted; a row without a value for what decides isn't."""
        rows = pa_dataset.dataset(pa.Table.from_batches([batch]))
        wanted = rows.to_table(columns={"wanted": self.expression}, use_threads=False)["wanted"]
        return wanted.combine_chunks().fill_null(False)


def parse_where(text: str, schema: pa.Schema, tags: Tags | None = None) -> Condition:
    """A condition from its text.

    Parameters
    ----------
    text
        Comparisons (``<``, ``<=``, ``>``, ``>=``, ``==``, ``!=``, ``in``, ``not in``) of a column with a
        number, a text or a list of them, joined by ``and``, ``or``, ``not`` and parentheses.
    schema
        The columns.
    tags
        What ``tag`` means; see `TAG`.

    Raises
    ------
    InputError
        If it can't be understood, or names a column or a tag that there isn't.
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError("it is too long")
        condition = _Reader(schema, tags or {}).read(text)
        condition.holds(pa.RecordBatch.from_pylist([], schema))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, pa.ArrowException) as error:
        reason = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())[:160]
        raise InputError(f"where={text[:120]!r}: {reason}; expected such as where={_EXAMPLE!r}") from error
    return condition


class _Reader:
    """From Python's syntax to an expression of Arrow's."""

    def __init__(self, schema: pa.Schema, tags: Tags) -> None:
        self.schema = schema
        self.tags = tags
        self.columns: dict[str, None] = {}

    def read(self, text: str) -> Condition:
        expression = self._condition(ast.parse(_without_keywords(text.strip()), mode="eval").body)
        return Condition(tuple(self.columns), expression)

    def _condition(self, node: ast.expr) -> pa_dataset.Expression:
        match node:
            case ast.BoolOp(op=op, values=[first, *others]):
                joined = self._condition(first)
                for other in map(self._condition, others):
                    joined = joined & other if isinstance(op, ast.And) else joined | other
                return joined
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._condition(operand)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                joined = self._comparison(sides[0], ops[0], sides[1])
                for place in range(1, len(ops)):  # 0.2 < bar_yes < 0.5
                    joined = joined & self._comparison(sides[place], ops[place], sides[place + 1])
                return joined
        raise ValueError(f"{ast.unparse(node)!r} compares nothing")

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pa_dataset.Expression:
        kind = type(op)
        if not isinstance(left, ast.Name) and isinstance(right, ast.Name) and kind in _TURNED:
            left, right, kind = right, left, _TURNED[kind]
        if not isinstance(left, ast.Name) or isinstance(right, ast.Name) or kind not in _COMPARISONS:
            raise ValueError(
                f"{ast.unparse(ast.Compare(left, [op], [right]))!r} compares no column with a value"
            )
        several = kind in (ast.In, ast.NotIn)
        value = _values(right) if several else _value(right)
        name = _KEYWORDS.get(left.id, left.id)
        if name == TAG and TAG not in self.schema.names:
            return self._tagged(kind, value if several else [value])
        column = self._column(name)
        self._check_kind(name, value if several else [value])
        return _COMPARISONS[kind](column, value)

    def _check_kind(self, name: str, values: list[Any]) -> None:
        """Refuse to compare numbers with texts."""
        kind = self.schema.field(name).type
        numbers, texts = pa.types.is_integer(kind) or pa.types.is_floating(kind), pa.types.is_string(kind)
        for value in values:
            if isinstance(value, str) and numbers:
                raise ValueError(f"{name!r} is a number, and {value!r} a text")
            if not isinstance(value, str) and texts:
                raise ValueError(f"{name!r} is a text, and {value!r} a number")

    def _column(self, name: str) -> pa_dataset.Expression:
        if name not in self.schema.names:
            near = difflib.get_close_matches(name, self.schema.names, 1)
            raise ValueError(f"there is no column {name!r}" + (f" (but {near[0]!r})" if near else ""))
        self.columns[name] = None
        return pa_dataset.field(name)

    def _tagged(self, kind: type[ast.cmpop], names: list[Any]) -> pa_dataset.Expression:
        if kind not in (ast.Eq, ast.NotEq, ast.In, ast.NotIn):
            raise ValueError("tags can be compared by ==, !=, in and not in")
        for name in names:
            if name not in self.tags:
                known = ", ".join(sorted(self.tags)[:20]) or "none: name a file as tags=FILE"
                raise ValueError(f"there is no tag {name!r}; there are {known}")
        ids = sorted({identifier for name in names for identifier in self.tags[name]})
        tagged = self._column("object_id").isin(pa.array(ids, pa.string()))
        return tagged if kind in (ast.Eq, ast.In) else ~tagged


def _without_keywords(text: str) -> str:
    """A condition with other names for columns whose own Python's parser keeps for itself.

    Raises
    ------
    SyntaxError
        If it can't be read.
    """
    words = {name: word for word, name in _KEYWORDS.items()}
    try:
        read = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except tokenize.TokenError as error:
        raise SyntaxError(str(error.args[0])) from error
    return tokenize.untokenize((token.type, words.get(token.string, token.string)) for token in read)


def _value(node: ast.expr) -> Any:
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node, sign = node.operand, -1
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return sign * node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and sign == 1:
        return node.value
    raise ValueError(f"{ast.unparse(node)!r} is neither a number nor a text in quotes")


def _values(node: ast.expr) -> list[Any]:
    if not isinstance(node, ast.Tuple | ast.List | ast.Set) or not node.elts:
        raise ValueError(f"{ast.unparse(node)!r} is no list of values")
    return [_value(element) for element in node.elts]
