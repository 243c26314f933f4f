"""Training parts that are far from all others: which are named, and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import afrd
from afrd.background.training_queue import Order, TrainingQueue
from afrd.cli.commands import main
from afrd.model.patch_memory import PartDistances
from afrd.page.train import queue_view
from afrd.runs.training_parts import (
    LEAST_PARTS,
    UNUSUAL,
    parts_table,
    save_training_parts,
    training_parts,
    unusual_text,
)

PARTS, SCRATCHED = 12, 7


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The category part, lights left and top: twelve noisy grey plates, one of them with a bright stripe under top."""
    root, rng = tmp_path_factory.mktemp("rig"), np.random.default_rng(0)
    for split, count in (("train", PARTS), ("val", 2), ("test", 2)):
        for part in range(count):
            folder = root / "part" / split / "good" / f"{part:02}"
            folder.mkdir(parents=True)
            for light in ("left", "top"):
                picture = rng.normal(120, 6, (48, 64, 3)).clip(0, 255).astype(np.uint8)
                if split == "train" and part == SCRATCHED and light == "top":
                    picture[10:14, 36:60] = 255
                Image.fromarray(picture).save(folder / f"{light}.png")
    return root


@pytest.mark.parametrize("method", ["memory", "afrd"])
def test_a_part_with_a_scratch_is_named_with_its_place(rig: Path, tmp_path: Path, capsys, method: str):
    folder = tmp_path / "run"
    epochs = ["--epochs", "2"] if method == "afrd" else []
    argv = ["train", str(rig), "part", "--out", str(folder), "--size", "64", "--method", method, *epochs]
    assert main(argv) == 0
    table = afrd.load_run(folder).training_parts()
    first = table.iloc[0]
    assert len(table) == PARTS and table.unusual.tolist() == [True] + (PARTS - 1) * [False]
    assert (first.part, first.light) == ("good/07", "top")
    assert 28 <= first.x <= 64 and 4 <= first.y <= 20
    assert f"1 training part differs much from all others: good/07 (light top, x {first.x}, y {first.y})" in (
        capsys.readouterr().out
    )
    assert "unusual_training_parts=1" in (folder / "log.txt").read_text()


def test_the_train_tab_names_it_as_well(rig: Path, tmp_path: Path):
    queue = TrainingQueue(tmp_path)
    job = queue.add(Order(root=rig, category="part", name="mine", lights=("left", "top"), size=64, method="memory"))
    queue._work[job.number].wait(120)
    text = queue_view.state_text(queue, queue.job(job.number))
    assert text.startswith("finished; 1 training part differs much from all others: good/07 (light top")


def distances(values: list[list[float]]) -> PartDistances:
    tensor = torch.tensor(values)
    return PartDistances(tensor, torch.arange(tensor.numel()).reshape(tensor.shape) % 12)


def table_of(values: list[list[float]]) -> pd.DataFrame:
    names, lights = [f"{k:02}" for k in range(len(values[0]))], [f"light{k}" for k in range(len(values))]
    return parts_table(distances(values), (3, 4), names, lights, (30, 80))


def test_ratios_are_those_of_the_light_under_which_they_are_largest():
    values = [[1.0, 1.1, 0.9, 1.2, 1.0, 1.0, 1.1, 0.9, 1.0, 1.0], [2.0, 2.2, 2.0, 1.9, 6.0, 2.1, 2.0, 1.9, 2.0, 2.0]]
    table = table_of(values)
    ratios = np.maximum(np.array(values[0]) / 1.0, np.array(values[1]) / 2.0)
    away = ratios - np.median(ratios)
    deviations = 0.6745 * away / np.median(np.abs(away))
    order = np.argsort(-deviations, kind="stable")
    assert table.part.tolist() == [f"{k:02}" for k in order]
    np.testing.assert_allclose(table.ratio, ratios[order], rtol=1e-5)
    np.testing.assert_allclose(table.deviation, deviations[order], rtol=1e-5)
    assert table.unusual.tolist() == [True] + 9 * [False] and table.light[0] == "light1"
    row, column = divmod((10 + 4) % 12, 4)  # the place of part 4 under the second light
    assert (table.x[0], table.y[0]) == ((column + 0.5) * 20, (row + 0.5) * 10)


def test_few_parts_and_equal_parts_have_no_unusual_one():
    few = [1.0 + 0.01 * k for k in range(LEAST_PARTS - 2)] + [9.0]
    assert table_of([few]).deviation[0] > UNUSUAL and not table_of([few]).unusual.any()
    equal = table_of([12 * [0.0]])
    assert not equal.unusual.any() and equal.deviation.eq(0).all() and equal.ratio.notna().all()
    assert unusual_text(equal) == ""


def test_parts_of_which_nothing_is_remembered_do_not_count_for_the_medians():
    """They are most of a thousand parts with 512 patches: a median of all would be 0, and no part ever unusual."""
    remembered = np.array([1.0 + 0.01 * k for k in range(12)] + [3.0])
    table = table_of([remembered.tolist() + 30 * [0.0], 30 * [0.0] + remembered.tolist()])
    away = remembered / np.median(remembered) - 1
    expected = 0.6745 * away[-1] / np.median(np.abs(away))
    assert table.part[:2].tolist() == ["12", "42"] and table.unusual.tolist() == 2 * [True] + 41 * [False]
    np.testing.assert_allclose(table.ratio[:2], remembered[-1] / np.median(remembered), rtol=1e-5)
    np.testing.assert_allclose(table.deviation[:2], expected, rtol=1e-5)
    assert (table.ratio == 0).sum() == 17 and (table.deviation[table.ratio == 0] < 0).all()
    few = table_of([remembered[-LEAST_PARTS + 1 :].tolist() + 30 * [0.0]])
    assert few.deviation[0] > UNUSUAL and not few.unusual.any()


def test_the_farthest_part_comes_first_where_most_are_equally_far():
    table = table_of([8 * [1.0] + [0.9, 1.1, 5.0]])
    assert table.part[0] == "10" and table.deviation.eq(0).all()


def test_names_are_kept_as_they_are_and_printed_without_control_characters(tmp_path: Path):
    names = ["007", "NA", "a,b", 'a "quoted" name', "two\nlines", "Icon\r", " spaces ", "1e5", "True", "good/\x1b[2J"]
    values = [1.0 + 0.01 * k for k in range(9)] + [9.0]
    save_training_parts(tmp_path, parts_table(distances([values]), (3, 4), names, ("007",), (30, 80)))
    table = training_parts(tmp_path)
    assert table.part.tolist() == names[::-1] and table.light.tolist() == 10 * ["007"]
    assert "from all others: good/\\x1b[2J (light 007, x " in unusual_text(table)


def test_many_unusual_parts_are_counted():
    text = unusual_text(table_of([[1.0 + 0.01 * (k % 5) for k in range(40)] + 7 * [5.0]]))
    assert (
        text.startswith("7 training parts differ much from all others: 40 (light light0, ") and " and 2 more;" in text
    )


@pytest.mark.parametrize(
    "content", ["", "part,ratio\n1,2\n", "\0\0", "part,ratio,light,x,y,deviation,unusual\na,b,c,d,e,f,g"]
)
def test_a_broken_table_is_named(tmp_path: Path, content: str):
    assert training_parts(tmp_path).empty and unusual_text(training_parts(tmp_path)) == ""
    (tmp_path / "training_parts.csv").write_text(content)
    with pytest.raises(ValueError, match=r"training_parts\.csv is not the table of a run's training parts .*delete it"):
        training_parts(tmp_path)
