"""Inputs as they should not be, and what the commands answer; `python tests/cli/broken_inputs.py` prints tables.

Every case changes a sound data set, a sample's pictures or a run. broken_inputs.json says what the commands then print:
`DATA`, `RUN` and `PICTURES` stand for the folders. The tests run every command; docs/reliability.md has the tables.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin
from safetensors.torch import load_file, save_file

ANSWERS: dict[str, dict[str, str]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
HEIGHT, WIDTH = 40, 48


@dataclass(frozen=True)
class Case:
    """One broken input: what it is, how it is made, and the answer to each command (exit status and text)."""

    title: str
    make: Callable[[Path], object]
    answers: dict[str, str]


RIG: list[Case] = []  # data in folders of one's own: answers to `check`, `train` and `evaluate`
CANDY: list[Case] = []  # data in the Eyecandies layout
PICTURES: list[Case] = []  # what is given to `predict`
RUNS: list[Case] = []  # run folders given to `evaluate`


def case(to: list[Case], title: str) -> Callable:
    def add(make: Callable[[Path], object]) -> Callable:
        to.append(Case(title, make, ANSWERS[title]))
        return make

    return add


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH, channels: int = 3, top: int = 255) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, top, shape).astype(np.uint8 if top <= 255 else np.uint16)


def paint(path: Path, seed: int = 0, **how: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed, **how)).save(path)


def mask(path: Path, height: int = HEIGHT, width: int = WIDTH, value: int = 255, rest: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full((height, width), rest, np.uint8)
    values[5:15, 5:15] = value
    Image.fromarray(values).save(path)


def sound_rig(root: Path) -> None:
    """The category part: lights left and top, 6 good samples to train on, 2 for the threshold, 3 to test."""
    places = [f"train/good/{i:02}" for i in range(6)] + ["val/good/1", "val/good/2"]
    places += ["test/good/1", "test/good/2", "test/scratch/1"]
    for seed, place in enumerate(places):
        for k, light in enumerate(("left", "top")):
            paint(root / "part" / place / f"{light}.png", 2 * seed + k)
    mask(root / "part/ground_truth/scratch/1.png")


def sound_candy(root: Path) -> None:
    """The category part in the Eyecandies layout: two lights, 3 samples to train on, 2 for the threshold, 2 to test."""
    for start, split, indices in ((0, "train", (0, 1, 2)), (100, "val", (0, 1)), (200, "test_public", (0, 1))):
        data = root / "part" / split / "data"
        for index in indices:
            for light in (0, 1):
                paint(data / f"{index}_image_{light}.png", start + 10 * index + light)
            bad = int(split == "test_public" and index == 1)
            (data / f"{index}_metadata.yaml").write_text(f"anomalous: {bad}\nbumps: 0\ndents: {bad}\n")
        if split == "test_public":
            mask(data / "0_mask.png", value=0)
            mask(data / "1_mask.png")


SAMPLE = "part/train/good/03"
TEST = "part/test_public/data"


# pictures
@case(RIG, "a truncated PNG")
def _(data: Path) -> None:
    path = data / SAMPLE / "top.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@case(RIG, "an empty file called top.png")
def _(data: Path) -> None:
    (data / SAMPLE / "top.png").write_bytes(b"")


@case(RIG, "a text called top.png")
def _(data: Path) -> None:
    (data / SAMPLE / "top.png").write_text("to be photographed\n")


@case(RIG, "a JPEG called top.png")
def _(data: Path) -> None:
    Image.fromarray(noise(0)).save(data / SAMPLE / "top.png", format="JPEG")


@case(RIG, "a picture of 1 x 1 pixels")
def _(data: Path) -> None:
    paint(data / SAMPLE / "top.png", height=1, width=1)


@case(RIG, "a data set of pictures of 1 x 1 pixels")
def _(data: Path) -> None:
    for path in data.glob("part/*/*/*/*.png"):
        paint(path, height=1, width=1)
    Image.new("L", (1, 1), 255).save(data / "part/ground_truth/scratch/1.png")


@case(RIG, "a picture of 20000 x 10000 pixels")
def _(data: Path) -> None:
    Image.new("1", (20_000, 10_000)).save(data / SAMPLE / "top.png")


@case(RIG, "a picture whose header says 100000 x 100000 pixels")
def _(data: Path) -> None:
    content = bytearray((data / SAMPLE / "top.png").read_bytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (data / SAMPLE / "top.png").write_bytes(content)


@case(RIG, "a CMYK JPEG")
def _(data: Path) -> None:
    Image.fromarray(noise(0)).convert("CMYK").save(data / SAMPLE / "top.jpg")
    (data / SAMPLE / "top.png").unlink()


@case(RIG, "a picture with a palette")
def _(data: Path) -> None:
    Image.fromarray(noise(0)).quantize(16).save(data / SAMPLE / "top.png")


@case(RIG, "a picture with alpha")
def _(data: Path) -> None:
    paint(data / SAMPLE / "top.png", channels=4)


@case(RIG, "a grey picture among coloured ones")
def _(data: Path) -> None:
    paint(data / SAMPLE / "top.png", channels=1)


@case(RIG, "a grey picture of 16 bits")
def _(data: Path) -> None:
    paint(data / SAMPLE / "top.png", channels=1, top=65_535)


@case(RIG, "12 bits in files of 16")
def _(data: Path) -> None:
    for path in data.glob("part/*/*/*/top.png"):
        paint(path, channels=1, top=4_095)


@case(RIG, "floating-point numbers with NaN (TIFF)")
def _(data: Path) -> None:
    values = noise(0, channels=1).astype(np.float32)
    values[0, 0] = np.nan
    Image.fromarray(values).save(data / SAMPLE / "top.tif")
    (data / SAMPLE / "top.png").unlink()


@case(RIG, "numbers of 32 bits (TIFF)")
def _(data: Path) -> None:
    Image.fromarray(noise(0, channels=1).astype(np.int32) * 1000).save(data / SAMPLE / "top.tif")
    (data / SAMPLE / "top.png").unlink()


@case(RIG, "a picture to be turned by its EXIF orientation")
def _(data: Path) -> None:
    picture = Image.fromarray(noise(0, height=WIDTH, width=HEIGHT))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(data / SAMPLE / "top.jpg", exif=exif)
    (data / SAMPLE / "top.png").unlink()


@case(RIG, "a TIFF of three pages")
def _(data: Path) -> None:
    pages = [Image.fromarray(noise(i)) for i in range(3)]
    pages[0].save(data / SAMPLE / "top.tif", save_all=True, append_images=pages[1:])
    (data / SAMPLE / "top.png").unlink()


@case(RIG, "an animation")
def _(data: Path) -> None:
    pages = [Image.fromarray(noise(i)).quantize(16) for i in range(3)]
    pages[0].save(data / SAMPLE / "top.gif", save_all=True, append_images=pages[1:])
    (data / SAMPLE / "top.png").unlink()


@case(RIG, "a TIFF with a broken tag")
def _(data: Path) -> None:
    ifd = TiffImagePlugin.ImageFileDirectory_v2()
    Image.fromarray(noise(0)).save(data / SAMPLE / "top.tif", tiffinfo=ifd)
    content = bytearray((data / SAMPLE / "top.tif").read_bytes())
    content[4:8] = (2**31).to_bytes(4, "little")
    (data / SAMPLE / "top.tif").write_bytes(content)
    (data / SAMPLE / "top.png").unlink()


@case(RIG, "constant pictures: every one is black")
def _(data: Path) -> None:
    for path in data.glob("part/*/*/*/*.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(path)


@case(RIG, "a folder called top.png")
def _(data: Path) -> None:
    (data / SAMPLE / "top.png").unlink()
    (data / SAMPLE / "top.png").mkdir()


@case(RIG, "a picture that is a link to itself")
def _(data: Path) -> None:
    (data / SAMPLE / "top.png").unlink()
    (data / SAMPLE / "top.png").symlink_to("top.png")


# lights and samples
@case(RIG, "a missing light")
def _(data: Path) -> None:
    (data / SAMPLE / "top.png").unlink()


@case(RIG, "a light twice: top.png and top.jpg")
def _(data: Path) -> None:
    Image.fromarray(noise(0)).save(data / SAMPLE / "top.jpg")


@case(RIG, "lights of different size in one sample")
def _(data: Path) -> None:
    paint(data / SAMPLE / "top.png", height=20, width=24)


@case(RIG, "a sample of another size")
def _(data: Path) -> None:
    for light in ("left", "top"):
        paint(data / SAMPLE / f"{light}.png", height=80, width=96)


@case(RIG, "one picture called Top.png among top.png")
def _(data: Path) -> None:
    (data / SAMPLE / "top.png").rename(data / SAMPLE / "Top.png")


@case(RIG, "a copy called top (1).png beside top.png")
def _(data: Path) -> None:
    shutil.copy(data / SAMPLE / "top.png", data / SAMPLE / "top (1).png")


@case(RIG, "upper-case extensions: .PNG")
def _(data: Path) -> None:
    for path in data.glob("part/*/*/*/*.png"):
        path.rename(path.with_suffix(".PNG"))


@case(RIG, "names with blanks, brackets and letters of other alphabets")
def _(data: Path) -> None:
    (data / SAMPLE).rename(data / "part/train/good/Teil [7] größe 大")


@case(RIG, "a name that is not UTF-8")
def _(data: Path) -> None:
    os.rename(os.fsencode(data / SAMPLE), os.fsencode(data / "part/train/good") + b"/gr\xfcn")


@case(RIG, "a sample without pictures")
def _(data: Path) -> None:
    for light in ("left", "top"):
        (data / SAMPLE / f"{light}.png").unlink()


@case(RIG, "a sample whose pictures lie one folder deeper")
def _(data: Path) -> None:
    for light in ("left", "top"):
        (data / SAMPLE / "raw").mkdir(exist_ok=True)
        (data / SAMPLE / f"{light}.png").rename(data / SAMPLE / "raw" / f"{light}.png")


@case(RIG, "a loose picture in train/good")
def _(data: Path) -> None:
    paint(data / "part/train/good/99.png")


@case(RIG, "a sample that is a link to nowhere")
def _(data: Path) -> None:
    (data / "part/train/good/99").symlink_to("nowhere")


@case(RIG, "a picture that is a link to nowhere")
def _(data: Path) -> None:
    (data / SAMPLE / "top.png").unlink()
    (data / SAMPLE / "top.png").symlink_to("nowhere.png")


@case(RIG, "a split that is a link to nowhere")
def _(data: Path) -> None:
    shutil.rmtree(data / "part/val")
    (data / "part/val").symlink_to("/media/unplugged/val")


@case(RIG, "Thumbs.db, .DS_Store and desktop.ini everywhere")
def _(data: Path) -> None:
    for folder in [path for path in data.rglob("*") if path.is_dir()]:
        for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._top.png"):
            (folder / name).write_bytes(b"\x00")


@case(RIG, "__MACOSX, @eaDir, $RECYCLE.BIN and lost+found everywhere")
def _(data: Path) -> None:
    for folder in [data, data / "part", data / "part/train", data / "part/train/good", data / SAMPLE]:
        for name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found"):
            paint(folder / name / "top.png")


# splits and truth
@case(RIG, "good test samples in a folder called OK")
def _(data: Path) -> None:
    (data / "part/test/good").rename(data / "part/test/OK")


@case(RIG, "good training samples in a folder called normal")
def _(data: Path) -> None:
    (data / "part/train/good").rename(data / "part/train/normal")


@case(RIG, "a defect in train")
def _(data: Path) -> None:
    shutil.copytree(data / "part/test/scratch/1", data / "part/train/scratch/1")


@case(RIG, "good test parts that are training parts, one of them saved anew")
def _(data: Path) -> None:
    for train, test in (("03", "1"), ("04", "2")):
        shutil.rmtree(data / f"part/test/good/{test}")
        shutil.copytree(data / f"part/train/good/{train}", data / f"part/test/good/{test}")
    left = data / "part/test/good/2/left.png"
    Image.open(left).save(left.with_suffix(".bmp"))
    left.unlink()


@case(RIG, "no train split")
def _(data: Path) -> None:
    shutil.rmtree(data / "part/train")


@case(RIG, "an empty train split")
def _(data: Path) -> None:
    shutil.rmtree(data / "part/train")
    (data / "part/train").mkdir()


@case(RIG, "one training sample, and none for the threshold")
def _(data: Path) -> None:
    for i in range(1, 6):
        shutil.rmtree(data / f"part/train/good/{i:02}")
    shutil.rmtree(data / "part/val")


@case(RIG, "test samples that are all bad")
def _(data: Path) -> None:
    shutil.rmtree(data / "part/test/good")


@case(RIG, "a split of another name: validation")
def _(data: Path) -> None:
    (data / "part/val").rename(data / "part/validation")


@case(RIG, "a mask of another size")
def _(data: Path) -> None:
    mask(data / "part/ground_truth/scratch/1.png", 20, 24)


@case(RIG, "a mask with grey values")
def _(data: Path) -> None:
    picture = Image.open(data / "part/ground_truth/scratch/1.png")
    picture.resize((20, 20)).resize((WIDTH, HEIGHT)).save(data / "part/ground_truth/scratch/1.png")


@case(RIG, "a mask of 0 and 1")
def _(data: Path) -> None:
    mask(data / "part/ground_truth/scratch/1.png", value=1)


@case(RIG, "an inverted mask")
def _(data: Path) -> None:
    mask(data / "part/ground_truth/scratch/1.png", value=0, rest=255)


@case(RIG, "an empty mask of a bad sample")
def _(data: Path) -> None:
    mask(data / "part/ground_truth/scratch/1.png", value=0)


@case(RIG, "a mask that is no picture")
def _(data: Path) -> None:
    (data / "part/ground_truth/scratch/1.png").write_text("mask")


@case(RIG, "a mask of no sample")
def _(data: Path) -> None:
    mask(data / "part/ground_truth/scratch/77.png")


@case(RIG, "bad samples of which one has no mask")
def _(data: Path) -> None:
    for light in ("left", "top"):
        paint(data / f"part/test/scratch/2/{light}.png")


@case(RIG, "a data set in a folder of its own: DATA/part/part")
def _(data: Path) -> None:
    (data / "part").rename(data / "inner")
    (data / "part").mkdir()
    (data / "inner").rename(data / "part/part")


@case(RIG, "an empty data set")
def _(data: Path) -> None:
    shutil.rmtree(data / "part")


@case(RIG, "a data set that is a file")
def _(data: Path) -> None:
    shutil.rmtree(data)
    data.write_text("data")


@case(RIG, "a data set that does not exist")
def _(data: Path) -> None:
    shutil.rmtree(data)


# Eyecandies
@case(CANDY, "gaps between the indices")
def _(data: Path) -> None:
    for path in list((data / "part/train/data").glob("1_*")):
        path.unlink()


@case(CANDY, "an index with metadata and no pictures")
def _(data: Path) -> None:
    (data / "part/train/data/7_metadata.yaml").write_text("anomalous: 0\n")


@case(CANDY, "a missing light of one index")
def _(data: Path) -> None:
    (data / "part/train/data/1_image_1.png").unlink()


@case(CANDY, "one picture of a third light")
def _(data: Path) -> None:
    paint(data / "part/train/data/1_image_2.png")


@case(CANDY, "a light twice: 1_image_1.png and 1_image_01.png")
def _(data: Path) -> None:
    paint(data / "part/train/data/1_image_01.png")


@case(CANDY, "metadata that is not YAML")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text("anomalous: [1\n  dents: }")


@case(CANDY, "metadata that would run a program (YAML tags)")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text("anomalous: !!python/object/apply:os.system ['touch /tmp/x']\n")


@case(CANDY, "metadata that is a list")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text("- anomalous\n- 1\n")


@case(CANDY, "empty metadata")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text("")


@case(CANDY, "metadata with Windows line ends")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_bytes(b"anomalous: 1\r\nbumps: 0\r\ndents: 1\r\n")


@case(CANDY, "metadata with true and false")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text("anomalous: true\nbumps: false\ndents: true\n")


@case(CANDY, 'metadata with "1" as text')
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text('anomalous: "1"\n')


@case(CANDY, "metadata with anomalous: 2")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text("anomalous: 2\n")


@case(CANDY, "metadata in Latin-1")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_bytes("anomalous: 1\ndents: 1\nprüfer: 0\n".encode("latin-1"))


@case(CANDY, "metadata without a known key")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text("defective: 1\n")


@case(CANDY, "metadata that disagrees with the mask")
def _(data: Path) -> None:
    (data / TEST / "0_metadata.yaml").write_text("anomalous: 1\nbumps: 1\n")


@case(CANDY, "metadata that calls a training sample anomalous")
def _(data: Path) -> None:
    (data / "part/train/data/1_metadata.yaml").write_text("anomalous: 1\ndents: 1\n")


@case(CANDY, "metadata nested a hundred thousand brackets deep")
def _(data: Path) -> None:
    (data / TEST / "1_metadata.yaml").write_text("anomalous: " + "[" * 100_000)


# pictures of one sample; the folder has left.png and top.png of a good sample
@case(PICTURES, "a sample's folder: PICTURES")
def _(pictures: Path) -> list[str]:
    return [str(pictures)]


@case(PICTURES, "an empty folder")
def _(pictures: Path) -> list[str]:
    (pictures / "empty").mkdir()
    return [str(pictures / "empty")]


@case(PICTURES, "a picture that does not exist")
def _(pictures: Path) -> list[str]:
    return [str(pictures / "left.png"), str(pictures / "top2.png")]


@case(PICTURES, "a light that the run does not know")
def _(pictures: Path) -> list[str]:
    return [f"box={pictures / 'left.png'}"]


@case(PICTURES, "a light given twice")
def _(pictures: Path) -> list[str]:
    return [f"top={pictures / 'left.png'}", str(pictures / "top.png")]


@case(PICTURES, "a picture whose name tells no light")
def _(pictures: Path) -> list[str]:
    shutil.copy(pictures / "left.png", pictures / "photo.png")
    return [str(pictures / "photo.png")]


@case(PICTURES, "one light only")
def _(pictures: Path) -> list[str]:
    return [str(pictures / "top.png")]


@case(PICTURES, "pictures of different sizes")
def _(pictures: Path) -> list[str]:
    paint(pictures / "top.png", height=80, width=40)
    return [str(pictures / "left.png"), str(pictures / "top.png")]


@case(PICTURES, "pictures of other proportions than in training")
def _(pictures: Path) -> list[str]:
    for light in ("left", "top"):
        paint(pictures / f"{light}.png", height=80, width=40)
    return [str(pictures / "left.png"), str(pictures / "top.png")]


@case(PICTURES, "a truncated picture")
def _(pictures: Path) -> list[str]:
    path = pictures / "top.png"
    path.write_bytes(path.read_bytes()[:-400])
    return [str(pictures / "left.png"), str(path)]


@case(PICTURES, "a picture of 200 million pixels")
def _(pictures: Path) -> list[str]:
    Image.new("1", (20_000, 10_000)).save(pictures / "top.png")
    return [str(pictures / "left.png"), str(pictures / "top.png")]


# runs
@case(RUNS, "a run folder that does not exist")
def _(run: Path) -> None:
    shutil.rmtree(run)


@case(RUNS, "a run that was not finished")
def _(run: Path) -> None:
    (run / "model.safetensors").unlink()


@case(RUNS, "truncated weights")
def _(run: Path) -> None:
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@case(RUNS, "weights of another network")
def _(run: Path) -> None:
    first = dict(list(load_file(run / "model.safetensors").items())[:1])
    save_file(first, run / "model.safetensors")


@case(RUNS, "a pickle called model.safetensors")
def _(run: Path) -> None:
    (run / "model.safetensors").write_bytes(b"cos\nsystem\n(S'touch /tmp/x'\ntR.")


@case(RUNS, "a config that is not JSON")
def _(run: Path) -> None:
    (run / "config.json").write_text("{")


@case(RUNS, "a config of another version")
def _(run: Path) -> None:
    content = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(content | {"format": 99}))


@case(RUNS, "a config with text in the place of a number")
def _(run: Path) -> None:
    content = json.loads((run / "config.json").read_text())
    content["fit"]["size"] = "large"
    (run / "config.json").write_text(json.dumps(content))


@case(RUNS, "a category that is a path out of the data set")
def _(run: Path) -> None:
    content = json.loads((run / "config.json").read_text())
    content["fit"]["category"] = "../../etc"
    (run / "config.json").write_text(json.dumps(content))


def tables() -> str:
    """All cases and answers in Markdown."""
    parts = []
    for title, cases in (
        ("Data in folders of one's own", RIG),
        ("Data in the Eyecandies layout", CANDY),
        ("Pictures given to `afrd predict`", PICTURES),
        ("Run folders given to `afrd evaluate`", RUNS),
    ):
        commands = list(cases[0].answers)
        lines = [f"### {title}", "", f"| input | {' | '.join(f'`afrd {name}`' for name in commands)} |"]
        lines.append("|---" * (len(commands) + 1) + "|")
        for one in cases:
            plain = [one.answers[name].replace("<", "&lt;").replace("|", "\\|") for name in commands]
            plain = [text.replace(">_", ">\\_").replace("_&lt;", "\\_&lt;") for text in plain]  # no emphasis
            said = [text.replace("\n", "<br>") for text in plain]
            lines.append(f"| {one.title} | {' | '.join(said)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(tables(), end="")
