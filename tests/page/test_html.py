"""Templates escape values; Markdown shows a text as it is."""

from __future__ import annotations

import re

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from afrd.page.common.html import macros, markdown
from afrd.page.common.messages import in_one_sentence, message


@given(st.text(alphabet="<>&\"'ab", max_size=20))
def test_values_are_escaped(text: str):
    shown = message(text)
    assert "<h2>" in shown and not re.search(r"[<>]", shown.split("<h2>")[1].split("</h2>")[0])


def test_what_a_template_returned_is_not_escaped_again():
    assert "<div" in macros("lights/macros.html").offer(message("title"))


def test_a_template_that_lacks_a_value_fails():
    with pytest.raises(UndefinedError):
        macros("common/macros.html").message()


def test_markdown_shows_a_text_as_it_is():
    text = "<b>*x*</b> [a](b) `c`"
    assert re.sub(r"\\(.)", r"\1", markdown(text)) == text
    assert not re.search(r"(?<!\\)[<*\[`]", markdown(text))


@pytest.mark.parametrize("error", [KeyError("<img src=x>"), ValueError("<img src=x>"), ImportError("<img src=x>")])
def test_an_error_of_any_kind_is_shown_as_text(error: Exception, capsys):
    def handler() -> None:
        raise error

    with pytest.raises(gr.Error) as shown:
        in_one_sentence(handler)()
    assert "&lt;img src=x&gt;" in shown.value.message and "<" not in shown.value.message
    assert ("Traceback" in capsys.readouterr().err) is not isinstance(error, ValueError)  # a fault of the page
