"""The page's scripts are ES modules, joined into one text for hosts that take no modules."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from afrd.page.common.scripts import as_json, joined
from afrd.page.light_table.scene import message
from tests.page.helpers import ROOT

PAGE = ROOT / "afrd" / "page"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def modules(folder: Path, **sources: str) -> Path:
    for name, source in sources.items():
        (folder / f"{name}.js").write_text(source)
    return folder / "main.js"


def run(script: str) -> object:
    return json.loads(subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout)


@needs_node
def test_a_joined_script_does_what_the_modules_do(tmp_path: Path):
    main = modules(
        tmp_path,
        main="import {\n  twice, once as first,\n} from './two.js';\nimport { Counter } from './one.js';\n"
        "const hidden = 3;\nconsole.log(JSON.stringify([twice(hidden), first(hidden), Counter.made, TEXT]));\n",
        two="import { Counter } from './one.js';\nconst hidden = 1;\n"
        "export function once(x) { new Counter(); return x + hidden; }\nexport const twice = x => once(once(x));\n",
        one="const hidden = 2;\nexport class Counter {\n  static made = 0;\n"
        "  constructor() { Counter.made += hidden; }\n}\n",
    )
    assert run(joined(main, TEXT="</script>")) == [5, 4, 6, "</script>"]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import { main } from './gone.js';\n", "gone.js, which is not there"),
        ("import { main } from './round.js';\n", "round.js imports main.js, which imports it"),
        ("import main from './round.js';\n", "does not know “import main from"),
        ("let count = 0;\nexport { count };\n", "does not know “export { count }"),
        ("export let count = 0;\n", "does not know “export let"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, source: str, complaint: str):
    main = modules(tmp_path, main=source, round="import { main } from './main.js';\n")
    with pytest.raises(ValueError, match=complaint):
        joined(main)


def test_constants_cannot_end_the_script_that_they_stand_in():
    assert "<" not in as_json({"name": "</script><!--"}) and json.loads(as_json("</script>")) == "</script>"


@needs_node
@pytest.mark.parametrize(
    "path", sorted(PAGE.rglob("*.js")), ids=lambda path: str(path.relative_to(PAGE)) if isinstance(path, Path) else path
)
def test_every_script_of_the_page_can_be_joined(path: Path):
    script = f"(element, props, trigger, watch) => {{ {joined(path)} }}"
    subprocess.run(["node", "--check", "-"], input=script, text=True, check=True, capture_output=True)


@needs_node
def test_a_light_table_that_comes_after_a_newer_one_is_not_shown(tmp_path: Path):
    shutil.copy(PAGE / "light_table" / "gradio.js", tmp_path)
    table = "export const render = () => ({ update: scene => shown.push(scene.made) });\n"
    modules(tmp_path, table=table)
    script = (
        "const shown = [], props = { value: '{\"made\": 2}' }, element = { querySelector: () => null };\n"
        "let changed; const trigger = null, watch = (name, heard) => { changed = heard; };\n"
        + joined(tmp_path / "gradio.js", STYLE={})
        + "\nfor (const made of [5, 3, 7, 6, 8]) { props.value = JSON.stringify({ made }); changed(); }\n"
        "console.log(JSON.stringify(shown));\n"
    )
    assert run(script) == [5, 7, 8]


def test_of_two_light_tables_the_later_one_has_the_larger_number():
    made = [json.loads(message("Loading"))["made"] for _ in range(100)]
    assert made == sorted(set(made)) and made[-1] < 2**53
