"""The page's scripts: ES modules that import each other by relative paths, joined into one script for a host that takes
text, such as `gr.HTML(js_on_load=...)` or a `<script>` in a file. There is no build step: the modules are read as they
are, and each becomes a function of its own, so that no name of one meets a name of another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

CLICKS = Path(__file__).with_name("clicks.js")
IMPORT = re.compile(r"^import \{([^}]*)\} from '(\.{1,2}/[^']+)';[^\S\n]*\n?", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async function\*?|function\*?|const|class)\s+(\w+))", re.MULTILINE)
OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def joined(path: Path, **constants: Any) -> str:
    """A module with all that it imports, as the text of one script.

    Args:
        path: of the module; its own names stay free in the script, so that it may be one that a host calls.
        constants: values known to all modules, by name; they are sent as JSON.

    Raises:
        ValueError: a module is not there, imports itself over others, or has an import or export of another form than
            `import { a, b as c } from './file.js';` and `export` before a function, a class or a `const`.
    """
    return joined_text(path.read_text(encoding="utf-8"), path, **constants)


def joined_text(source: str, path: Path, **constants: Any) -> str:
    """`joined` for a module's text; `path` is where it stands, for its relative imports."""
    names: dict[Path, str] = {}
    parts = [f"const {name} = {as_json(value)};" for name, value in constants.items()]
    body = _resolved(source, path.resolve(), names, parts, ())
    return "\n".join([*parts, body])


def as_json(value: Any) -> str:
    """JSON that may stand in a `<script>`: nothing in it ends the element or begins a comment."""
    return json.dumps(value).replace("<", "\\u003c")


def _resolved(source: str, path: Path, names: dict[Path, str], parts: list[str], above: tuple[Path, ...]) -> str:
    """The module with its imports as constants; what it imports is added to `parts` before it."""

    def constant(found: re.Match[str]) -> str:
        wanted = re.sub(r"\s+as\s+", ": ", found[1]).strip().rstrip(",")
        return f"const {{ {wanted} }} = {_module(path.parent / found[2], names, parts, (*above, path))};\n"

    text = IMPORT.sub(constant, source)
    wrong = next((line for line in OTHER.findall(text) if not EXPORT.match(line)), None)
    if wrong:
        raise ValueError(f"{path}: the scripts are joined without a bundler, which does not know “{wrong.strip()}”")
    return EXPORT.sub("", text)


def _module(path: Path, names: dict[Path, str], parts: list[str], above: tuple[Path, ...]) -> str:
    """The name of a module's object of exports, which is added to `parts` the first time."""
    path = path.resolve()
    if path in above:
        raise ValueError(f"{above[-1]} imports {path.name}, which imports it; put what both need into a third module")
    if path not in names:
        if not path.is_file():
            raise ValueError(f"{above[-1]} imports {path}, which is not there")
        source = path.read_text(encoding="utf-8")
        body = _resolved(source, path, names, parts, above)
        exported = ", ".join(EXPORT.findall(source))
        names[path] = f"module{len(names)}_{re.sub(r'[^0-9a-zA-Z]', '_', path.stem)}"
        parts.append(f"const {names[path]} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();")
    return names[path]
