"""The page's scripts: ES modules that import each other by relative paths, joined into one script for a host that takes
text, such as `gr.HTML(js_on_load=...)` or a `<script>` in a file. There is no build step: the modules are read as they
are, and each becomes a function of its own, so that their names do not clash."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

CLICKS = Path(__file__).with_name("clicks.js")
IMPORT_PATTERN = re.compile(r"^import \{([^}]*)\} from '(\.{1,2}/[^']+)';[^\S\n]*\n?", re.MULTILINE)
EXPORT_PATTERN = re.compile(r"^export (?=(?:async function\*?|function\*?|const|class)\s+(\w+))", re.MULTILINE)
OTHER_PATTERN = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def joined(path: Path, **constants: Any) -> str:
    """A module with all that it imports, as the text of one script.

    Args:
        path: of the module; its own names stay global in the script, so that a host can call them.
        constants: values known to all modules, by name; they are sent as JSON.

    Raises:
        ValueError: a module is missing, imports itself through others, or has an import or export of another form than
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


def _resolved(source: str, path: Path, names: dict[Path, str], modules: list[str], importers: tuple[Path, ...]) -> str:
    """The module with its imports as constants; what it imports is added to `parts` before it."""

    def constant(match: re.Match[str]) -> str:
        bindings = re.sub(r"\s+as\s+", ": ", match[1]).strip().rstrip(",")
        return f"const {{ {bindings} }} = {_module(path.parent / match[2], names, modules, (*importers, path))};\n"

    text = IMPORT_PATTERN.sub(constant, source)
    unsupported = next((line for line in OTHER_PATTERN.findall(text) if not EXPORT_PATTERN.match(line)), None)
    if unsupported:
        raise ValueError(
            f"{path}: the scripts are joined without a bundler, which does not know “{unsupported.strip()}”"
        )
    return EXPORT_PATTERN.sub("", text)


def _module(path: Path, names: dict[Path, str], modules: list[str], importers: tuple[Path, ...]) -> str:
    """The name of a module's object of exports, which is added to `parts` the first time."""
    path = path.resolve()
    if path in importers:
        raise ValueError(
            f"{importers[-1]} imports {path.name}, which imports it; put what both need into a third module"
        )
    if path not in names:
        if not path.is_file():
            raise ValueError(f"{importers[-1]} imports {path}, which is not there")
        source = path.read_text(encoding="utf-8")
        body = _resolved(source, path, names, modules, importers)
        exported = ", ".join(EXPORT_PATTERN.findall(source))
        names[path] = f"module{len(names)}_{re.sub(r'[^0-9a-zA-Z]', '_', path.stem)}"
        modules.append(f"const {names[path]} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();")
    return names[path]
