"""A run as an ONNX graph: its scores are PyTorch's, with any of its lights, from the file alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

import afrd
from afrd.cli.commands import main
from afrd.runs import export as exporting

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

WAYS = {
    "afrd": {"epochs": 2, "memory": 64},
    "memory": {"method": "memory"},
    "fused": {"epochs": 2, "target": "fused"},
    "learned": {"epochs": 2, "memory": 64, "fusion": "learned", "lights": "all"},
    "resnet18": {"epochs": 1, "teacher": "resnet18", "batch": 2},
    "resnet18 fused": {"epochs": 1, "teacher": "resnet18", "batch": 2, "target": "fused", "fusion": "concat"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> afrd.data.dataset.Category:
    root = tmp_path_factory.mktemp("data")
    afrd.candies.render_category(root, "Praline", size=72, train=6, val=4, test_good=2, test_bad=2)
    return afrd.open_dataset(root, "Praline")


def _fit(data: afrd.data.dataset.Category, out: Path, way: str) -> Path:
    options = {"lights": "spots,top,box", **WAYS[way]}
    if "teacher" in options:  # no weights of a ResNet come with the installation
        torch.manual_seed(0)
        options["weights"] = out.parent / "random.pth"
        torch.save(torchvision.models.resnet18().state_dict(), options["weights"])
    afrd.fit(data, out=out, device="cpu", size=64, width=16, show_progress=False, **options)
    return out


@pytest.fixture(scope="module")
def run(data: afrd.data.dataset.Category, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _fit(data, tmp_path_factory.mktemp("runs") / "afrd", "afrd")


@pytest.fixture(scope="module")
def file(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's graph; writing one takes a while."""
    path = tmp_path_factory.mktemp("onnx") / "new" / "afrd.onnx"
    assert main(["export", str(run), "--onnx", str(path), "--samples", "2"]) == 0
    return path


def _session(file: Path) -> Any:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def _agree(file: Path, run: afrd.runs.Run, data: afrd.data.dataset.Category) -> None:
    session = _session(file)
    for sample in data["test_public"].select(run.lights):
        for lights in dict.fromkeys((run.lights, ("top",), ("spots", "box"), run.lights[::2])):
            expected = run.predict(sample, lights)
            present = np.array([[light in lights for light in run.lights]])
            given = {"pictures": sample.images.numpy()[None], "present": present}
            score, anomaly_map, light_maps, attention = session.run(None, given)
            assert score[0] == pytest.approx(expected.score, rel=1e-3)
            assert np.abs(anomaly_map[0] - expected.anomaly_map).max() < 1e-3 * expected.score
            assert np.allclose(light_maps[0][present[0]], expected.light_maps, atol=1e-3 * expected.light_maps.max())
            assert np.allclose(attention[0].sum(0), 1, atol=1e-5) and (attention[0][~present[0]] == 0).all()


def test_the_graph_gives_the_scores_and_maps_of_the_run(file: Path, run: Path, data: afrd.data.dataset.Category):
    _agree(file, afrd.load_run(run, "cpu"), data)


@pytest.mark.parametrize("way", ["memory", "fused", "learned", "resnet18", "resnet18 fused"])
def test_the_graph_of_another_method_does_too(data: afrd.data.dataset.Category, tmp_path: Path, way: str):
    run = afrd.load_run(_fit(data, tmp_path / "run", way), "cpu")
    afrd.runs.export_onnx(run, tmp_path / "graph.onnx", samples=1)
    _agree(tmp_path / "graph.onnx", run, data)


def test_what_stands_in_an_absent_lights_place_does_not_matter(file: Path):
    session = _session(file)
    pictures = np.random.default_rng(0).random((1, 3, 3, 72, 72), np.float32)
    present = np.array([[True, False, True]])
    first = session.run(["score"], {"pictures": pictures, "present": present})[0]
    pictures[0, 1] = 0.9
    assert session.run(["score"], {"pictures": pictures, "present": present})[0] == first


def test_the_file_has_what_a_reader_needs(file: Path, run: Path):
    about = json.loads(_session(file).get_modelmeta().custom_metadata_map["afrd"])
    assert about["lights"] == ["spots", "top", "box"] and about["picture_size"] == [72, 72]
    threshold = afrd.load_run(run).threshold()
    assert threshold is not None and about["thresholds"]["spots+top+box"] == threshold.value
    assert set(about["thresholds"]) == {"spots+top+box", "top+box", "spots+box", "spots+top"}


@pytest.fixture
def other_graph(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter writes the graph in `file`."""
    import onnx_ir

    model = onnx_ir.load(file)

    class Program:
        def __init__(self) -> None:
            self.model = model

        def save(self, path: Path) -> None:
            onnx_ir.save(model, path)

    monkeypatch.setattr(exporting, "make_graph", lambda run: Program())


@pytest.mark.usefixtures("other_graph")
def test_a_graph_that_gives_other_scores_is_not_kept(
    data: afrd.data.dataset.Category, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = afrd.fit(data, "spots,top,box", tmp_path / "run", method="memory", size=64, show_progress=False)
    assert main(["export", str(other.folder), "--onnx", str(tmp_path / "graph.onnx"), "--samples", "1"]) == 1
    assert "gives other scores than PyTorch" in capsys.readouterr().err and not list(tmp_path.glob("*.onnx"))


@pytest.mark.usefixtures("other_graph")
def test_a_run_without_its_data_set_is_compared_on_noise(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def gone(*_: object) -> None:
        raise FileNotFoundError("data set data does not exist")

    monkeypatch.setattr(exporting, "open_dataset", gone)
    found = afrd.runs.export_onnx(afrd.load_run(run, "cpu"), tmp_path / "graph.onnx", samples=1)
    assert found.source == "noise" and found.largest_difference < 1e-3


def test_the_example_of_the_documentation_gives_the_verdicts_of_the_run(
    file: Path, run: Path, data: afrd.data.dataset.Category, tmp_path: Path
):
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    script = tmp_path / "verdicts.py"
    script.write_text(text.split("```python\n")[1].split("```")[0])
    loaded, expected = afrd.load_run(run), {}
    for i, sample in enumerate(data["test_public"].select(loaded.lights)):
        lights = loaded.lights if i % 2 else ("spots", "box")  # every other part lacks a light
        expected[f"part{i}"] = loaded.predict(sample, lights)
        (tmp_path / "parts" / f"part{i}").mkdir(parents=True)
        for light in lights:
            source = data["test_public"].picture(i, light)
            (tmp_path / "parts" / f"part{i}" / f"{light}.png").write_bytes(source.read_bytes())
    command = [sys.executable, str(script), str(file), str(tmp_path / "parts")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines == [f"{name} {seen.score:.3f} {seen.verdict}" for name, seen in expected.items()]


def test_a_region_is_part_of_the_graph(run: Path, data: afrd.data.dataset.Category, tmp_path: Path):
    region = np.zeros((72, 72), bool)
    region[10:50, 20:70] = True
    inside = afrd.load_run(run, "cpu").with_region(region)
    exporting.export_onnx(inside, tmp_path / "inside.onnx", 1)
    _agree(tmp_path / "inside.onnx", inside, data)
    meta = json.loads(_session(tmp_path / "inside.onnx").get_modelmeta().custom_metadata_map["afrd"])
    assert meta["region"] == pytest.approx(region.mean()) and meta["method"].endswith("within 39 % of the picture")
