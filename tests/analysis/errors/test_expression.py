"""Conditions over columns: as Python would evaluate them row by row, and everything else refused in a sentence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afrd.analysis.errors.expression import MAX_DEPTH, MAX_LENGTH, NUMBER, TEXT, WORDS, Column, matching

ROWS: list[dict] = [
    {"score": 0.5, "iou": math.nan, "truth": "good", "defects": frozenset(), "note": ""},
    {"score": 2.0, "iou": 0.25, "truth": "bad", "defects": frozenset({"dent"}), "note": "a faint dent"},
    {"score": -1.0, "iou": 0.0, "truth": "bad", "defects": frozenset({"dent", "stain"}), "note": "it's\nhere"},
    {"score": math.inf, "iou": 1.0, "truth": "unknown", "defects": frozenset({"stain"}), "note": "dent"},
]
KINDS = {"score": NUMBER, "iou": NUMBER, "truth": TEXT, "defects": WORDS, "note": TEXT}


def column(name: str) -> Column:
    if KINDS[name] == NUMBER:
        return Column(NUMBER, np.array([row[name] for row in ROWS]))
    values = np.empty(len(ROWS), dtype=object)
    values[:] = [row[name] for row in ROWS]
    return Column(KINDS[name], values)


COLUMNS = {name: column(name) for name in KINDS} | {"peak off, px": Column(NUMBER, np.array([1.0, 2.0, 3.0, 4.0]))}


def python_says(text: str) -> list[bool]:
    """An independent evaluation: Python's own, a row at a time."""
    rows = [{name: np.float64(v) if KINDS[name] == NUMBER else v for name, v in row.items()} for row in ROWS]
    with np.errstate(all="ignore"):
        return [bool(eval(text, {"__builtins__": {}}, row)) for row in rows]


numbers = st.sampled_from(["score", "iou", "0", "1", "0.25", "-2.5", "1e3"])
arithmetic = st.recursive(
    numbers,
    lambda part: st.one_of(
        st.builds("({} {} {})".format, part, st.sampled_from("+-*"), part),
        st.builds("({} / {})".format, part, st.sampled_from(["2", "score", "0.5"])),
        st.builds("-({})".format, part),
    ),
    max_leaves=3,
)
texts = st.sampled_from(["truth", "note", "'bad'", "'dent'", '"it\'s"', "''"])
comparisons = st.one_of(
    st.builds("{} {} {}".format, arithmetic, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), arithmetic),
    st.builds("{} < {} <= {}".format, arithmetic, arithmetic, arithmetic),
    st.builds("{} {} {}".format, texts, st.sampled_from(["==", "!=", "in", "not in"]), texts),
    st.builds("{} {} defects".format, texts, st.sampled_from(["in", "not in"])),
    st.builds("{} {} ['bad', 'dent', '']".format, texts, st.sampled_from(["in", "not in"])),
    st.builds("{} in (0.25, 2, -1)".format, numbers),
)
conditions = st.recursive(
    comparisons,
    lambda part: st.one_of(
        st.builds("({} {} {})".format, part, st.sampled_from(["and", "or"]), part),
        st.builds("{} {} {}".format, part, st.sampled_from(["and", "or"]), part),
        st.builds("not ({})".format, part),
        st.builds("not {}".format, part),
    ),
    max_leaves=5,
)


@given(conditions.filter(lambda text: len(text) <= MAX_LENGTH))
def test_a_condition_is_what_python_says_row_by_row(text: str):
    try:
        expected = python_says(text)
    except ZeroDivisionError:  # of two numbers, which here gives infinity
        return
    assert matching(text, COLUMNS).tolist() == expected


@given(st.text(max_size=60) | conditions.flatmap(lambda text: st.builds(text.replace, st.just("score"), st.text())))
def test_any_other_text_is_refused_in_one_sentence(text: str):
    try:
        result = matching(text, COLUMNS)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert result.dtype == bool and result.shape == (len(ROWS),)


def test_a_column_of_any_name_stands_in_backticks():
    assert matching("`peak off, px` > 2 and truth == 'bad'", COLUMNS).tolist() == [False, False, True, False]
    assert matching("note == '`score`' or `score` > 1", COLUMNS).tolist() == [False, True, False, True]


REFUSED = {
    "score.real > 1": "a dot between names (score.real) is not allowed in an expression; allowed are comparisons",
    "note.__class__ == 'a'": "a dot between names (note.__class__) is not allowed",
    "__import__('os').system('true')": "a call (__import__('os').system('true')) is not allowed",
    "__builtins__ == 1": "there is no column '__builtins__'",
    "open('/etc/passwd')": "a call (open('/etc/passwd')) is not allowed",
    "(lambda: score)() > 1": "a call ((lambda: score)()) is not allowed",
    "lambda: 1": "lambda (lambda: 1) is not allowed",
    "[x for x in note] == 1": "for ([x for x in note]) is not allowed",
    "{x for x in note} == 1": "for ({x for x in note}) is not allowed",
    "(x for x in note) == 1": "for ((x for x in note)) is not allowed",
    "{'a': score} == 1": "this ({'a': score}) is not allowed",
    "score[0] > 1": "an index (score[0]) is not allowed",
    "9**9**9 > score": "this operator (9 ** 9 ** 9) is not allowed",
    "score % 2 == 1": "this operator (score % 2) is not allowed",
    "score // 2 == 1": "this operator (score // 2) is not allowed",
    "score << 9999999 > 1": "this operator (score << 9999999) is not allowed",
    "score if 1 < 2 else iou": "if (score if 1 < 2 else iou) is not allowed",
    "(score := 3) > 1": ":= ((score := 3)) is not allowed",
    "f'{score}' == '1'": "a text with { } (f'{score}') is not allowed",
    "~score > 1": "this (~score) is not allowed",
    "score is 1": "is and is not are not allowed",
    "score > None": "None is not allowed",
    "True": "True is not allowed",
    "score > 1j": "1j is not allowed",
    "b'a' in note": "b'a' is not allowed",
    "score > 1e999": "an expression holds numbers up to 1e+15",
    "score > " + "9" * 400: "an expression holds numbers up to 1e+15",
    "score = 1": "score = 1 cannot be read as an expression, such as score > 1 and 'dents' in defects",
    "import os": "import os cannot be read as an expression",
    "score > 1; iou > 1": "cannot be read as an expression",
    "(" * 300: "cannot be read as an expression",
    "": "the expression is empty",
    "score": "the expression is a number, not a condition; compare it, as in score > 1",
    "'bad'": "the expression is a text, not a condition",
    "score > 1 and iou": "and, or and not stand between conditions, but iou is a number",
    "not note": "and, or and not stand between conditions, but note is a text",
    "score > 'a'": "score and 'a' cannot be compared: a number and a text",
    "truth < 'b'": "texts are compared by ==, != and in",
    "note + 'a' == 'b'": "+ - * / are for numbers, but note is a text",
    "'a' * 100000000 == note": "+ - * / are for numbers, but 'a' is a text",
    "(score > 1) + 1 > 1": "+ - * / are for numbers, but score > 1 is a condition",
    "defects == 'dent'": "a set of words is asked by in, as in 'dents' in defects",
    "defects in ['dent']": "a list holds values of the kind that is looked for",
    "score in 'abc'": "in looks for a text in a text or a set of words",
    "score in [1, 'a']": "a list holds values of the kind that is looked for",
    "score in [iou]": "a list in an expression holds numbers or texts",
    "score in [" + "1, " * 60 + "]": "a list has 60 entries; at most 50 are allowed",
    "scor > 1": "there is no column 'scor'; did you mean score? (columns: score, iou, truth, defects, note)",
    "Score > 1": "there is no column 'Score'; did you mean score?",
    "`peak of px` > 1": "there is no column 'peak of px'; did you mean `peak off, px`?",
    "not " * (MAX_DEPTH + 1) + "score > 1": f"the expression is nested deeper than {MAX_DEPTH} levels",
    "score > 1 and " * 100 + "score > 1": f"the expression has 1409 characters; at most {MAX_LENGTH} are allowed",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_what_is_no_such_condition_is_refused_with_the_reason(text: str):
    with pytest.raises(ValueError) as refused:
        matching(text, COLUMNS)
    assert REFUSED[text] in str(refused.value) and "\n" not in str(refused.value)
