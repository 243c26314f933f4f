"""Teachers: the right weights with the right normalisation, or a clear sentence; never random ones."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torchvision.models.feature_extraction import create_feature_extractor

from afrd.model.teacher import load_teacher
from afrd.model.weights import TORCHVISION_WEIGHTS, WeightsUnavailable, load_classifier, read_state_dict

DAISY = 985  # ImageNet classes
MONASTERY, PALACE = 663, 698


def sample_picture(name: str) -> torch.Tensor:
    picture = Image.fromarray(load_sample_image(name)).crop((107, 0, 534, 427)).resize((224, 224), Image.BICUBIC)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def teacher():
    return load_teacher()


def test_the_default_teacher_knows_a_dahlia_and_a_temple(teacher):
    # Pinned with (x - 127) / 128; with ImageNet's mean and deviation the flower becomes a lampshade.
    classifier = load_classifier("efficientnet_lite0")
    with torch.no_grad():
        flower = classifier(teacher.normalise(sample_picture("flower.jpg"))).softmax(1)[0]
        temple = classifier(teacher.normalise(sample_picture("china.jpg"))).softmax(1)[0]
    assert flower.argmax() == DAISY
    assert temple.argmax() in (PALACE, MONASTERY)


def test_the_default_teacher_gives_strides_8_and_16(teacher):
    features = teacher(torch.rand(2, 3, 64, 96))
    assert [tuple(f.shape) for f in features] == [(2, 40, 8, 12), (2, 112, 4, 6)]
    assert teacher.channels == (40, 112) and teacher.strides == (8, 16)


def test_features_are_those_inside_the_classifier(teacher):
    classifier = load_classifier("efficientnet_lite0")
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        x = classifier.bn1(classifier.conv_stem(teacher.normalise(picture)))
        blocks = []
        for block in classifier.blocks:
            blocks.append(x := block(x))
    for ours, theirs in zip(teacher(picture), (blocks[2], blocks[4]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_teacher_stays_frozen(teacher):
    teacher.train()
    assert not any(module.training for module in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_resnet_reads_a_local_file(tmp_path: Path, suffix: str):
    reference = torchvision.models.resnet18()
    file = tmp_path / f"resnet18{suffix}"
    (torch.save if suffix == ".pth" else save_file)(reference.state_dict(), file)
    teacher = load_teacher("resnet18", file)
    picture = torch.rand(1, 3, 64, 64)
    features = teacher(picture)
    assert [f.shape[1] for f in features] == [64, 128, 256]
    reference.eval()
    x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(teacher.normalise(picture)))))
    torch.testing.assert_close(features[0], reference.layer1(x), rtol=1e-4, atol=1e-4)


def test_any_timm_backbone_reads_a_local_file(tmp_path: Path):
    for name, channels in (("mobilenetv3_small_100", (24, 48)), ("vit_tiny_patch16_224", (192, 192))):
        file = tmp_path / f"{name}.pth"
        torch.save(timm.create_model(name).state_dict(), file)
        teacher = load_teacher(f"timm:{name}", file)
        assert teacher.channels == channels
        assert all(
            f.shape[-1] * s == 64 for f, s in zip(teacher(torch.rand(1, 3, 64, 64)), teacher.strides, strict=True)
        )


def test_two_files_have_two_digests(tmp_path: Path):
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(torchvision.models.resnet18().state_dict(), tmp_path / f"{seed}.pth")
    first, second, again = (load_teacher("resnet18", tmp_path / f"{i}.pth").digest for i in (0, 1, 0))
    assert first == again != second


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'vgg' is not known; choose one of efficientnet_lite0, resnet18"):
        load_teacher("vgg")
    with pytest.raises(ValueError, match="timm has no model 'nonesuch'"):
        load_teacher("timm:nonesuch")


def test_weights_that_cannot_be_had_are_never_replaced_by_random_ones(monkeypatch, tmp_path: Path):
    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(WeightsUnavailable, match=r"wide_resnet50_2 are not in .*--weights"):
        load_teacher("wide_resnet50_2")


def test_a_file_that_does_not_fit_is_named(tmp_path: Path):
    file = tmp_path / "small.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"small.pth does not fit resnet18"):
        load_teacher("resnet18", file)
    with pytest.raises(ValueError, match=r"small.pth does not fit efficientnet_lite0"):
        load_teacher("efficientnet_lite0", file)
    with pytest.raises(ValueError, match="does not exist"):
        load_teacher("resnet18", tmp_path / "none.pth")


def test_a_pickle_with_a_program_in_it_is_not_run(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match=r"trap.pth cannot be read as named tensors"):
        read_state_dict(tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["resnet18", "wide_resnet50_2"])
def test_a_resnet_teacher_has_the_features_of_torchvision(name: str, tmp_path: Path):
    network = torchvision.models.get_model(name).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    teacher = load_teacher(name, tmp_path / "weights.pth")
    pictures = torch.rand(1, 3, 64, 64)
    layers = create_feature_extractor(network, ["layer1", "layer2", "layer3"])
    with torch.no_grad():
        expected = list(layers(teacher.normalise(pictures)).values())
    for feature, other in zip(teacher(pictures), expected, strict=True):
        torch.testing.assert_close(feature, other, rtol=0, atol=1e-4 * float(other.abs().max()))
    assert teacher.strides == (4, 8, 16) and teacher.channels == tuple(f.shape[1] for f in expected)


def test_weights_are_downloaded_from_where_torchvision_has_them():
    for name, url in TORCHVISION_WEIGHTS.items():
        assert torchvision.models.get_model_weights(name).IMAGENET1K_V1.url == url


def test_stored_features_need_neither_timm_nor_torchvision():
    """Together they take two seconds to import, for which the first map of the page would wait."""
    program = "import sys, afrd.runs.loading; print(sorted({'timm', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
