"""At which size a teacher reads pictures, and what a run says about pictures of another size than in training."""

from dataclasses import replace

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import afrd
from afrd.cli.commands import main
from afrd.model.config import ModelConfig
from afrd.model.inputs import teacher_size
from afrd.model.teacher import load_teacher
from afrd.runs.run_folder import FitConfig
from afrd.runs.sizes import same_grid, size_notes

DINOV2 = "vit_small_patch14_dinov2"


def fit_config(height: int, width: int) -> FitConfig:
    return FitConfig("/data", "Praline", "0", None, 256, (height, width), 1, 8, 0, "val")


MODEL = ModelConfig(lights=("top",), teacher="efficientnet_lite0", channels=(40, 112), strides=(8, 16))


def test_what_a_run_does_with_other_sizes_is_said():
    assert size_notes((48, 64), MODEL, fit_config(48, 64)) == []
    assert size_notes((48, 64), MODEL, fit_config(480, 640)) == [
        "The run was trained on pictures of 640×480; it reads these at 256×192."
    ]
    assert same_grid((48, 64), MODEL, fit_config(480, 640)) and not same_grid((48, 64), MODEL, fit_config(100, 100))
    notes = size_notes((48, 64), MODEL, fit_config(100, 100))
    assert notes[1].startswith("Their proportions are not those of the training")
    patches = replace(MODEL, strides=(14, 14))
    assert size_notes((48, 64), patches, fit_config(480, 640))[0].endswith("it reads these at 252×196.")


def test_the_size_fits_the_strides_of_the_teacher():
    assert teacher_size((480, 640), 512) == teacher_size((480, 640), 512, (8, 16)) == (384, 512)
    assert teacher_size((480, 640), 512, (14, 14)) == (378, 518)
    assert teacher_size((10, 1000), 512, (14, 14)) == (14, 518)
    assert teacher_size((480, 640), 512, (7, 14)) == (378, 518)
    assert teacher_size((480, 640), 512, (16, 64)) == (384, 512)


def weights_file(folder, name: str):
    torch.manual_seed(0)
    save_file(timm.create_model(name).state_dict(), folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors"


@pytest.mark.parametrize("method", ["afrd", "memory"])
def test_a_transformer_with_patches_of_14_pixels_teaches(candies, tmp_path, capsys, method):
    file = weights_file(tmp_path, DINOV2)
    data, out = afrd.open_dataset(candies, "Praline"), tmp_path / "run"
    options = {"weights": file, "size": 64, "width": 8, "epochs": 1, "method": method, "show_progress": False}
    run = afrd.fit(data, ["top", "box"], out, teacher=f"timm:{DINOV2}", **options)
    seen = run.predict(data["test_public"][0].select(["top", "box"]))
    assert seen.anomaly_map.shape == (64, 64) and torch.isfinite(torch.as_tensor(seen.anomaly_map)).all()
    stored = run.evaluate(data["test_public"]).table.score.iloc[0]
    assert stored == pytest.approx(seen.score, rel=1e-2)


def test_a_transformer_with_channels_last_gives_them_first(tmp_path):
    name = "swin_tiny_patch4_window7_224"
    teacher = load_teacher(f"timm:{name}", weights_file(tmp_path, name))
    features = teacher(torch.rand(1, 3, 64, 96))
    assert [tuple(f.shape) for f in features] == [(1, 192, 8, 12), (1, 384, 4, 6)]
    assert teacher.strides == (8, 16)


def test_a_file_reads_into_a_network_that_is_cut_into_stages(tmp_path):
    name = "convnext_atto"
    file = weights_file(tmp_path, name)
    teacher = load_teacher(f"timm:{name}", file)
    picture = torch.rand(1, 3, 64, 64)
    whole = timm.create_model(name)
    whole.load_state_dict(load_file(file))
    stages = whole.eval().forward_intermediates(teacher.normalise(picture), intermediates_only=True)
    for ours, theirs in zip(teacher(picture), stages[1:3], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_teacher_for_one_size_only_is_refused(tmp_path):
    name = "hiera_tiny_224"
    with pytest.raises(ValueError, match=r"'timm:hiera_tiny_224' cannot read pictures of 96x64 pixels .*another"):
        load_teacher(f"timm:{name}", weights_file(tmp_path, name))


def test_predict_says_when_the_proportions_are_not_those_of_the_training(candies, tiny_runs, tmp_path, capsys):
    picture = Image.open(candies / "Praline/test_public/data/00_image_3.png")
    for name, size in (("wide", (128, 64)), ("large", (128, 128)), ("same", (64, 64))):
        picture.resize(size).save(tmp_path / f"{name}.png")
    said = {}
    for name in ("wide", "large", "same"):
        assert main(["predict", str(tiny_runs / "Praline/single-top"), str(tmp_path / f"{name}.png")]) == 0
        said[name] = capsys.readouterr().out
    assert "trained on pictures of 64×64; it reads these at 64×32" in said["wide"]
    assert "proportions are not those of the training" in said["wide"]
    assert "trained on pictures of 64×64; it reads these at 64×64" in said["large"]
    assert "proportions" not in said["large"] and "trained on" not in said["same"]
