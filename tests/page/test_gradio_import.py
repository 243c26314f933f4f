"""Gradio is imported without its interface files: it works as before, and nothing is written beside it."""

import subprocess
import sys

import pytest

STATES = """
import pathlib, gradio
files = sorted(pathlib.Path(gradio.__file__).parent.rglob("*.pyi"))
print(len(files), [(file.stat().st_mtime_ns, file.stat().st_size) for file in files])
"""
WORKS = """
import gradio as gr
with gr.Blocks() as page:
    box, button = gr.Textbox(), gr.Button()
    button.click(lambda text: text, [box], [box])
print(len(page.fns), gr.component_meta.create_or_modify_pyi.__module__)
"""


def printed(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("first", "module"),
    [("import afrd.page", "afrd.page.gradio_import"), ("import gradio, afrd.page", "gradio.component_meta")],
)
def test_components_have_their_events_whoever_imports_gradio_first(first: str, module: str):
    assert printed(f"{first}\n{WORKS}") == f"1 {module}"


def test_the_page_writes_nothing_into_the_installed_package():
    states = printed(STATES)
    assert printed("import afrd.page.server; import sys; print('gradio' in sys.modules)") == "True"
    assert printed(STATES) == states and not states.startswith("0 ")


def test_a_gradio_without_that_function_is_imported_as_it_is():
    program = "import afrd.page.gradio_import as g; g.FUNCTION = 'none'; g.leave_out_interface_files()\n" + WORKS
    assert printed(program) == "1 gradio.component_meta"
