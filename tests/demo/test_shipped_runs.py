"""The runs that come with the repository: small, whole, and as good as the README says."""

import json
import re
from pathlib import Path

import pytest

from afrd.demo import prepare as demo
from afrd.demo.prepare import SHIPPED_RUNS, Preparation, copy_shipped_run
from afrd.model.teacher import load_teacher
from afrd.runs.run_folder import read_config
from benchmarks.demo_table import rows

ROOT = Path(__file__).parents[2]
CATEGORY = demo.CATEGORIES[0]
NAMES = sorted(folder.name for folder in (SHIPPED_RUNS / CATEGORY).iterdir())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's data and runs as they are when the first map can be shown: nothing has been trained."""
    root = tmp_path_factory.mktemp("demo")
    preparation = Preparation(root / "data", root / "runs")
    for _, work in preparation._work[:2]:
        work(0)
    return root


def test_they_are_small_and_safe_to_read():
    files = [path for path in SHIPPED_RUNS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5_000_000
    assert {path.suffix for path in files} == {".json", ".csv", ".safetensors"}
    assert len(NAMES) == 7 and "afrd" in NAMES
    for name in NAMES:
        model, config = read_config(SHIPPED_RUNS / CATEGORY / name)
        assert (config.size, model.width) == (demo.PICTURE_SIZE, demo.STUDENT_WIDTH)
        assert model.memory == (demo.MEMORY_PATCHES if name == "afrd" else 0)
        assert config.data_root == "data/candies"  # nobody's own folder


def test_the_readme_has_every_method_of_the_demo_with_its_figures(prepared: Path):
    readme = (ROOT / "README.md").read_text()
    table = readme[: readme.index("`python -m benchmarks.demo_table data/candies` prints")].split(
        "so that its runs are"
    )[1]
    claimed = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", table, re.M)
    measured = rows(prepared / "data", CATEGORY)
    assert [label for label, *_ in claimed] == list(measured)
    assert any("late" in label for label in measured)
    for label, *figures in claimed:
        # other processors round otherwise, in the rendering as well
        assert measured[label] == pytest.approx([float(figure) for figure in figures], abs=0.015), label


def test_they_are_copied_once_and_never_over_something_else(prepared: Path, tmp_path: Path):
    teacher, afrd = load_teacher(), SHIPPED_RUNS / CATEGORY / "afrd"
    weights = prepared / "runs" / CATEGORY / "afrd" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert copy_shipped_run(afrd, weights.parent, prepared / "data", teacher) and weights.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="holds a run with data_root"):
        copy_shipped_run(afrd, weights.parent, tmp_path, teacher)
    assert not copy_shipped_run(tmp_path / "none", tmp_path / "a", tmp_path, teacher) and not (tmp_path / "a").exists()

    # made with another teacher: trained here instead
    other = tmp_path / "other"
    other.mkdir()
    content = json.loads((afrd / "config.json").read_text())
    content["fit"]["teacher_digest"] = "0" * 16
    (other / "config.json").write_text(json.dumps(content))
    assert not copy_shipped_run(other, tmp_path / "b", tmp_path, teacher) and not (tmp_path / "b").exists()
