"""One place of dependencies, and installation files that agree with it."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_conda_installs_the_same_package_from_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    # Nothing but Python comes from conda; all else is what pyproject.toml and constraints.txt say.
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == ["--constraint constraints.txt", "--editable .[dev,notebooks]"]


def test_a_space_installs_what_pyproject_asks_for_and_starts_the_page():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == PROJECT["dependencies"]
    readme = (ROOT / "README.md").read_text()
    front = yaml.safe_load(readme.split("---\n")[1])
    assert readme.startswith("---\n") and front["sdk"] == "gradio" and (ROOT / front["app_file"]).is_file()
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert front["sdk_version"] == pins["gradio"]


def test_every_dependency_is_pinned_within_its_bounds():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {name_of(line): line.split("==")[1].strip() for line in lines if "==" in line}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in (r for group in groups for r in group):
        name = name_of(requirement)
        assert name in pins, f"{name} is not pinned in constraints.txt"
        bound = requirement.partition(">=")[2]
        if bound:
            pinned, least = ([int(n) for n in re.findall(r"\d+", v)[:3]] for v in (pins[name], bound))
            assert pinned >= least, f"{name} {pins[name]} is older than {bound}"


def test_nothing_is_imported_that_is_not_declared():
    distribution = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml", "IPython": "ipython"}
    extras = PROJECT["optional-dependencies"]
    of_extras = [r for name in ("cluster", "onnx", "download", "notebooks") for r in extras[name]]
    asked_for = [*PROJECT["dependencies"], *of_extras]
    declared = {name_of(r).replace("-", "_") for r in asked_for} | {"afrd"}
    for file in [*ROOT.glob("afrd/**/*.py"), ROOT / "app.py"]:
        imports = [
            node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        imports = [n for n in imports if not getattr(n, "level", 0)]  # relative ones are ours
        for whole in [n.module or "" if isinstance(n, ast.ImportFrom) else a.name for n in imports for a in n.names]:
            module = whole.split(".")[0]
            if module in sys.stdlib_module_names:
                continue
            name = distribution.get(module, module).replace("-", "_")
            known = name in declared or any(d.startswith(name) for d in declared)
            assert known, f"{file.relative_to(ROOT)} imports {module}, which pyproject.toml does not name"


def test_the_changelog_knows_the_version():
    from afrd import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
