"""Base of the components of every tab, and components that several tabs have."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder


class Components:
    """Base of the components of a tab: its attributes, picked and filled by their names.

    A subclass makes them in `__init__`, which therefore reads like the screen, from top to bottom.
    """

    def all(self) -> list[Any]:
        """In the order in which they were made."""
        return list(vars(self).values())

    def named(self, *names: str) -> list[Any]:
        return [getattr(self, name) for name in names]

    def filled(self, values: dict[str, Any]) -> dict[Any, Any]:
        """Values of an event's outputs, from values by name."""
        return {getattr(self, name): value for name, value in values.items()}


def menu(label: str, elem_id: str, width: int, choices: list | None = None, **options: Any) -> gr.Dropdown:
    return gr.Dropdown(choices or [], label=label, filterable=False, min_width=width, elem_id=elem_id, **options)


def plot(elem_id: str, width: int = 320, **options: Any) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, min_width=width, elem_id=elem_id, **options)


def table(label: str, elem_id: str, **options: Any) -> gr.Dataframe:
    """A table to read; `tables.table_value` makes its values."""
    return gr.Dataframe(label=label, show_label=False, interactive=False, buttons=[], elem_id=elem_id, **options)


def made_file(name: str, content: str) -> str:
    """The path of a new file in Gradio's cache, which Gradio cleans up: the value of a `gr.DownloadButton`."""
    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    file = Path(mkdtemp(dir=get_upload_folder())) / name
    file.write_text(content, encoding="utf-8")
    return str(file)


def fetch(elem_id: str) -> dict[str, Any]:
    """Arguments of an event that downloads the file just made for a `gr.DownloadButton`."""
    return {"fn": None, "js": f"() => document.querySelector('#{elem_id}')?.click()"}
