"""Conditions over the columns of a table, from a user or an untrusted file, evaluated safely.

    matching("score > 1 and 'dents' in defects", columns)  # (N,) bool
    matching("`peak off, px` > 5 or not (0.2 < best_iou <= 0.5)", columns)

The text is parsed as Python and never run: each node of its tree is either one of those below, and evaluated here on
whole columns, or refused. A column whose name is no Python identifier is put in backticks, as in `DataFrame.query`.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

MAX_LENGTH, MAX_DEPTH, MAX_LIST = 500, 20, 50  # characters, nested levels, entries of a list
MAX_NUMBER = 1e15
NUMBER, TEXT, WORDS, CONDITION, LIST = "a number", "a text", "a set of words", "a condition", "a list"
ALLOWED = "allowed are comparisons, and, or, not, in, + - * /, numbers, texts in quotes and the names of columns"
COMPARISONS: dict[type[ast.cmpop], Callable] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
ARITHMETIC: dict[type[ast.operator], Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_QUOTED = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|`([^`]*)`""")


@dataclass(frozen=True, eq=False)
class Column:
    """A column, or a part of an expression.

    Attributes:
        kind: NUMBER, TEXT or WORDS.
        values: (N,) float, or object: texts, or frozensets of texts. Of a part: also one value for all rows.
    """

    kind: str
    values: Any


def matching(text: str, columns: Mapping[str, Column]) -> np.ndarray:
    """Which rows fulfil a condition.

    A comparison with a number that is not defined (NaN) is false, and `!=` true, as in Python.

    Args:
        text: the condition.
        columns: by name; all of one length N.

    Returns:
        (N,) bool.

    Raises:
        ValueError: the text is no such condition, in one sentence that says what is wrong and what is allowed.
    """
    tree, names = _parsed(text)
    with np.errstate(all="ignore"):
        result = _Evaluation(columns, names).value(tree)
    if result.kind != CONDITION:
        raise ValueError(f"the expression is {result.kind}, not a condition; compare it, as in score > 1")
    count = len(next(iter(columns.values())).values) if columns else 0
    return np.broadcast_to(np.asarray(result.values, dtype=bool), (count,)).copy()


def _parsed(text: str) -> tuple[ast.expr, dict[str, str]]:
    """The tree of an expression, and the names of columns that stood in backticks, by the name that replaces each."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    if not text.strip():
        raise ValueError("the expression is empty; write one such as score > 1")
    names: dict[str, str] = {}

    def replaced(match: re.Match) -> str:
        if match[1]:
            return match[1]
        names[f"backticks_{len(names)}"] = match[2]
        return f" backticks_{len(names) - 1} "

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # such as an unknown \escape
            tree = ast.parse(_QUOTED.sub(replaced, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(
            f"{_short(text)} cannot be read as an expression, such as score > 1 and 'dents' in defects; {ALLOWED}"
        ) from None
    if _depth_exceeds(tree, MAX_DEPTH):
        raise ValueError(f"the expression is nested deeper than {MAX_DEPTH} levels; write it in a simpler form")
    return tree, names


class _Evaluation:
    """Evaluates the nodes of a tree; raises ValueError at one that is not allowed."""

    def __init__(self, columns: Mapping[str, Column], names: Mapping[str, str]) -> None:
        self.columns, self.names = columns, names

    def value(self, node: ast.expr) -> Column:
        match node:
            case ast.Constant():
                return self.constant(node.value)
            case ast.Name():
                return self.column(self.names.get(node.id, node.id))
            case ast.List() | ast.Tuple():
                return self.listed(node.elts)
            case ast.Compare():
                return self.compared(node)
            case ast.BoolOp():
                parts = [self.condition(part).values for part in node.values]
                join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                result = parts[0]
                for part in parts[1:]:
                    result = join(result, part)
                return Column(CONDITION, result)
            case ast.UnaryOp(op=ast.Not()):
                return Column(CONDITION, np.logical_not(self.condition(node.operand).values))
            case ast.UnaryOp(op=ast.USub()):
                return Column(NUMBER, -self.number(node.operand).values)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.number(node.operand)
            case ast.BinOp() if type(node.op) in ARITHMETIC:
                left, right = self.number(node.left).values, self.number(node.right).values
                return Column(NUMBER, ARITHMETIC[type(node.op)](left, right))
        raise ValueError(f"{_named(node)} is not allowed in an expression; {ALLOWED}")

    def constant(self, value: Any) -> Column:
        if isinstance(value, str):
            return Column(TEXT, value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not abs(value) <= MAX_NUMBER:
                raise ValueError(f"an expression holds numbers up to {MAX_NUMBER:g}")
            return Column(NUMBER, np.float64(value))
        raise ValueError(f"{value!r:.40} is not allowed in an expression; {ALLOWED}")

    def column(self, name: str) -> Column:
        if name in self.columns:
            return self.columns[name]
        near = get_close_matches(name, self.columns, 1, 0.5) or get_close_matches(name.lower(), self.columns, 1, 0.5)
        hint = f"; did you mean {_written(near[0])}?" if near else ""
        short = [column for column in self.columns if column.isidentifier()]
        raise ValueError(f"there is no column {name!r:.60}{hint} (columns: {', '.join(short)})")

    def listed(self, nodes: Sequence[ast.expr]) -> Column:
        if len(nodes) > MAX_LIST:
            raise ValueError(f"a list has {len(nodes)} entries; at most {MAX_LIST} are allowed")
        entries = [self.value(node) for node in nodes]
        if not all(isinstance(entry.values, str | np.floating) for entry in entries):
            raise ValueError("a list in an expression holds numbers or texts, as in outcome in ['missed', 'right']")
        return Column(LIST, entries)

    def condition(self, node: ast.expr) -> Column:
        column = self.value(node)
        if column.kind != CONDITION:
            raise ValueError(f"and, or and not stand between conditions, but {_source(node)} is {column.kind}")
        return column

    def number(self, node: ast.expr) -> Column:
        column = self.value(node)
        if column.kind != NUMBER:
            raise ValueError(f"+ - * / are for numbers, but {_source(node)} is {column.kind}")
        return column

    def compared(self, node: ast.Compare) -> Column:
        sides = [node.left, *node.comparators]
        parts = [self.value(side) for side in sides]
        result: Any = np.True_
        for i, op in enumerate(node.ops):
            source = f"{_source(sides[i])} and {_source(sides[i + 1])}"
            result = np.logical_and(result, _pair(parts[i], op, parts[i + 1], source))
        return Column(CONDITION, result)


def _pair(left: Column, op: ast.cmpop, right: Column, source: str) -> Any:
    """One comparison of two parts; `source` names them in a message."""
    if isinstance(op, ast.In | ast.NotIn):
        contained = _contained(left, right, source)
        return np.logical_not(contained) if isinstance(op, ast.NotIn) else contained
    if type(op) not in COMPARISONS:
        raise ValueError(f"is and is not are not allowed in an expression; write == or != between {source}")
    if WORDS in (left.kind, right.kind):
        raise ValueError(f"a set of words is asked by in, as in 'dents' in defects, and not compared: {source}")
    if left.kind != right.kind or left.kind not in (NUMBER, TEXT):
        raise ValueError(f"{source} cannot be compared: {left.kind} and {right.kind}")
    if left.kind == TEXT:
        if not isinstance(op, ast.Eq | ast.NotEq):
            raise ValueError(f"texts are compared by ==, != and in, but {source} by something else")
        return _by_row(COMPARISONS[type(op)], left.values, right.values)
    return COMPARISONS[type(op)](left.values, right.values)


def _contained(left: Column, right: Column, source: str) -> Any:
    if right.kind == LIST:
        kinds = {entry.kind for entry in right.values}
        if left.kind not in (NUMBER, TEXT) or kinds - {left.kind}:
            raise ValueError(f"a list holds values of the kind that is looked for, but not in {source} ({left.kind})")
        entries = [entry.values for entry in right.values]
        return _by_row(lambda value, _: value in entries, left.values, None)
    if left.kind != TEXT or right.kind not in (TEXT, WORDS):
        raise ValueError(
            f"in looks for a text in a text or a set of words, as in 'dents' in defects, but with {source} for "
            f"{left.kind} in {right.kind}"
        )
    return _by_row(lambda part, whole: part in whole, left.values, right.values)


def _by_row(function: Callable[[Any, Any], bool], left: Any, right: Any) -> Any:
    """A function of two values on every row; a value that is no array stands in all rows."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return np.array([function(a, b) for a, b in zip(left, right, strict=True)], dtype=bool)
    if isinstance(left, np.ndarray):
        return np.array([function(a, right) for a in left], dtype=bool)
    if isinstance(right, np.ndarray):
        return np.array([function(left, b) for b in right], dtype=bool)
    return np.bool_(function(left, right))


def _depth_exceeds(tree: ast.AST, limit: int) -> bool:
    level = [tree]
    for _ in range(limit):
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if not level:
            return False
    return True


def _named(node: ast.expr) -> str:
    """What a node that is not allowed is called."""
    names = {
        ast.Call: "a call",
        ast.Attribute: "a dot between names",
        ast.Subscript: "an index",
        ast.Lambda: "lambda",
        ast.IfExp: "if",
        ast.NamedExpr: ":=",
        ast.JoinedStr: "a text with { }",
        ast.BinOp: "this operator",
    }
    comprehensions = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    kind = "for" if isinstance(node, comprehensions) else names.get(type(node), "this")
    return f"{kind} ({_source(node)})"


def _source(node: ast.expr) -> str:
    return _short(ast.unparse(node))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def _written(name: str) -> str:
    """A column as an expression names it."""
    return name if name.isidentifier() else f"`{name}`"
