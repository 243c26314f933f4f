"""Words of the field in the course and the documentation, one for each thing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REPLACED = {  # what a text must not say: the word to use
    r"portions?": "part is the object under inspection; say share, or area",
    r"flatter\w*": "optimistically biased",
    r"excused?": "subtracted",
    r"usual evidence": "expected normal evidence",
    r"hide a program": "JSON and safetensors; nothing is unpickled",
}
TEXTS = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.md"), *ROOT.glob("notebooks/[0-9]*.py")]


@pytest.mark.parametrize("path", sorted(TEXTS), ids=lambda path: path.name)
def test_a_text_uses_the_words_of_the_field(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [
        f"{path.name}:{number}: {match.group()!r}; rather: {rather}"
        for number, line in enumerate(lines, 1)
        for word, rather in REPLACED.items()
        for match in re.finditer(rf"\b{word}\b", line, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


def test_the_architecture_names_every_module():
    sections = re.split(r"^## ", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    missing = []
    for path in sorted(ROOT.glob("afrd/*/**/*.py")):
        package = path.relative_to(ROOT / "afrd").parts[0]
        text = next(section for section in sections if package in section.splitlines()[0])
        if path.name != "__init__.py" and not re.search(rf"`(\w+\.)*{path.stem}`", text):
            missing.append(path.relative_to(ROOT).as_posix())
    assert not missing
