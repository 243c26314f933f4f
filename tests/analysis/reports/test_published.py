"""Published results stand beside a sweep's only where its data are the public data set itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from afrd.analysis.comparison.sweep_results import GroupResult
from afrd.analysis.reports import published, sweep
from afrd.metrics.words import METRICS
from afrd.runs.sweep_plan import Group, SweepPlan

NAMES = published.ORIGINALS["Eyecandies"].categories


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures under the names of Eyecandies, two samples a split."""
    root = tmp_path_factory.mktemp("data")
    picture = root / "picture.png"
    Image.fromarray(np.full((8, 8, 3), 120, np.uint8)).save(picture)
    for name in NAMES:
        for split in ("train", "test_public"):
            (root / name / split / "data").mkdir(parents=True)
            for index in range(2):
                for light in range(6):
                    (root / name / split / "data" / f"{index}_image_{light}.png").write_bytes(picture.read_bytes())
    return root


def results(names: tuple[str, ...], objects: tuple[float, ...] = ()) -> list[GroupResult]:
    metrics = np.full((1, len(METRICS)), 0.5)
    found = []
    for i, name in enumerate(names):
        metrics = metrics.copy()
        metrics[0, METRICS.index("image_auroc")] = 0.9 + 0.01 * (i % 2)
        group = Group(name, name, ("spots", "box"), "teacher", 256, 0, ())
        about = (group, "test_public", (1, 1), ("AFRD",), ("afrd",))
        found.append(GroupResult(*about, metrics, np.zeros((1, 2, len(METRICS))), Path("no file"), (), objects))
    return found


def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    original = replace(published.ORIGINALS["Eyecandies"], sizes={"train": (2, 2), "test_public": (2, 2)})
    monkeypatch.setitem(published.ORIGINALS, "Eyecandies", original)


def test_other_data_under_the_same_names_has_none(root: Path):
    plan = SweepPlan(data=str(root), out="sweep")
    assert published.published_table(plan, results(NAMES)) is None


def test_a_part_of_the_categories_has_none(root: Path, monkeypatch: pytest.MonkeyPatch):
    smaller(monkeypatch)
    plan = SweepPlan(data=str(root), out="sweep")
    assert published.published_table(plan, results(NAMES[:3])) is None
    assert published.published_table(plan, results(NAMES)) is not None


def test_the_data_set_itself_has_them_with_modality_and_source_beside_ours(root: Path, monkeypatch: pytest.MonkeyPatch):
    smaller(monkeypatch)
    table = published.published_table(SweepPlan(data=str(root), out="sweep"), results(NAMES))
    assert table is not None
    rows = table.set_index("Method")
    assert rows.loc["AFRD", "image AUROC"] == "0.905" and rows.loc["AFRD", "Source"] == "this report"
    assert rows.loc["CPMAD"].to_dict() == {
        "Modality": "RGB and depth",
        "image AUROC": "0.950",
        "pixel AUROC": "–",
        "AUPRO": "0.934",
        "Source": "its authors (test_public)",
    }


def test_the_report_has_the_table_in_markdown_and_on_the_page(root: Path, monkeypatch: pytest.MonkeyPatch):
    smaller(monkeypatch)
    plan = SweepPlan(data=str(root), out="sweep")
    section = sweep._section(plan, "Lights", results(NAMES))
    assert "| CPMAD | RGB and depth | 0.950 | – | 0.934 | its authors (test_public) |" in sweep._markdown([], [section])
    page = sweep._page(plan, root, [], [section])
    assert "Published results" in page and "<td>CPMAD</td>" in page
    assert "Published results" not in sweep._page(plan, root, [], [replace(section, published=None)])


def test_mvtec_ad_is_recognised_and_has_the_figures_of_single_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    original = replace(published.ORIGINALS["MVTec AD"], sizes={"train": (1, 1), "test": (2, 2)})
    monkeypatch.setitem(published.ORIGINALS, "MVTec AD", original)
    for name in original.categories:
        for file in ("train/good/000.png", "test/good/000.png", "test/bent/000.png", "ground_truth/bent/000_mask.png"):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), 255 if "mask" in file else 120, np.uint8)).save(path)
    mine = [replace(r, group=replace(r.group, lights=("light",))) for r in results(original.categories)]
    table = published.published_table(SweepPlan(data=str(tmp_path), out="sweep"), mine)
    assert table is not None
    rows = table.set_index("Method")
    assert rows.loc["RD4AD", ["image AUROC", "pixel AUROC", "AUPRO"]].tolist() == ["0.985", "0.978", "0.939"]
    assert rows.loc["AFRD", "Modality"] == "RGB, 1 light, 256 pixels"


def test_every_published_figure_is_a_share_with_a_source():
    table = published.pd.read_csv(published.FILE)
    assert set(table.data_set) == set(published.ORIGINALS) and table.source.notna().all()
    values = table[list(published.METRICS)]
    assert ((values > 0.5) & (values < 1) | values.isna()).all(axis=None) and values.image_auroc.notna().all()
