"""Random files for everything that reads a file a user was given: `python -m benchmarks.fuzz --minutes 10`.

Needs Atheris, coverage-guided fuzzing by libFuzzer, on Linux: `pip install -r benchmarks/requirements-fuzz.txt`.
Each target gets bytes, writes them as the file it reads, and fails where anything but a `ValueError` of one sentence
comes out. What was found interesting is kept in `benchmarks/fuzz_corpus/TARGET`, from which the next run goes on; an
input that fails is left in the current folder as `crash-*`, and `--input FILE --target NAME` runs it again.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import atheris
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

with atheris.instrument_imports(include=["afrd"]):
    import afrd
    from afrd.analysis.errors.exchange import exported
    from afrd.analysis.errors.notes import Notes
    from afrd.data.images import decode_mask, picture_size, read_picture
    from afrd.data.layouts import read_metadata
    from afrd.runs.operating_points import operating_points
    from afrd.runs.run_folder import read_config
    from afrd.runs.shared_file import Key, SharedFile
    from afrd.runs.sweep_plan import load_sweep
    from afrd.runs.tensors import load_tensors

CORPUS = Path(__file__).parent / "fuzz_corpus"
MAX_BYTES = 4096


def picture(mode: str = "RGB", kind: str = "png", side: int = 9) -> bytes:
    values = np.arange(side * side * len(mode), dtype=np.uint8).reshape(side, side, -1).squeeze()
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def framed(metadata: bytes) -> bytes:
    """Metadata and a mask as `read_as_data_set` takes them."""
    return bytes([len(metadata)]) + metadata + picture("L")


def read_as_picture(folder: Path, content: bytes) -> None:
    """A picture, a mask and the size in the header, by whatever format the bytes are of."""
    file = folder / "picture.png"
    file.write_bytes(content)
    for read in (picture_size, read_picture, decode_mask):
        answered(lambda read=read: read(file))


def read_as_data_set(folder: Path, content: bytes) -> None:
    """A category of which one metadata file and mask are made of the bytes; opened, read and checked.

    The first byte says where the mask begins.
    """
    data = folder / "root" / "Part" / "test_public" / "data"
    if not data.is_dir():
        for split, width in (("train", 3), ("test_public", 2)):
            (folder / "root" / "Part" / split / "data").mkdir(parents=True)
            for light in range(2):
                (folder / f"root/Part/{split}/data/{0:0{width}d}_image_{light}.png").write_bytes(picture())
    begin = 1 + sum(content[:1])
    (data / "00_metadata.yaml").write_bytes(content[1:begin])
    (data / "00_mask.png").write_bytes(content[begin:])
    answered(lambda: read_metadata(data / "00_metadata.yaml"))
    answered(lambda: afrd.open_dataset(folder / "root", "Part")["test_public"][0])
    answered(lambda: afrd.check(folder / "root"))


def read_as_run(folder: Path, content: bytes) -> None:
    """Every file of a run folder that is read: with the bytes as its content, and with a part replaced by them.

    The first byte says which entry of a valid JSON file, the first two which place of a valid file of notes.
    """
    for name, (read, valid) in RUN_FILES.items():
        changed = [content]
        if name.endswith(".json"):
            changed.append(with_entry(valid, sum(content[:1]), content[1:].decode(errors="replace")))
        if name.endswith(".sqlite"):
            changed.append(with_bytes(valid, int.from_bytes(content[:2], "big"), content[2:]))
        for file_content in changed:
            (folder / name).write_bytes(file_content)
            answered(lambda read=read: read(folder))
        (folder / name).unlink()


def with_entry(valid: bytes, number: int, text: str) -> bytes:
    """A JSON file with its entry of this number, counted through all levels, replaced by JSON, or else by a text."""
    document = json.loads(valid)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    holders = list(entries(document))
    holder, key = holders[number % len(holders)]
    holder[key] = value
    return json.dumps(document).encode()


def with_bytes(valid: bytes, place: int, content: bytes) -> bytes:
    """A file with some of its bytes replaced, from this place on, counted around its end."""
    place %= len(valid)
    return (valid[:place] + content + valid[place + len(content) :])[: len(valid)]


def entries(document: Any) -> Iterator[tuple[Any, Any]]:
    """(object or list, key or index) of every entry."""
    for key in document if isinstance(document, dict) else range(len(document)):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from entries(document[key])


def answered(read: Callable[[], object]) -> None:
    try:
        read()
    except ValueError as error:
        text = str(error)
        if not text.strip() or "Traceback" in text:
            raise AssertionError(f"no sentence: {text!r}") from error


CONFIG = next((Path(afrd.__file__).parent / "demo" / "runs").glob("*/afrd/config.json")).read_bytes()
POINT = {"per_thousand": 50.0, "missed_cost": 50.0, "alarm_cost": 1.0}
NOTES = {"format": 1, "splits": {"test_public": {"25": {"text": "dent", "tags": ["a"]}}}}


def file_of_notes() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        file = SharedFile(name)
        with file.writing() as entries:
            entries.put(Key("note", "run", "test_public", "25"), {"text": "dent", "tags": ["a"]})
        return file.path.read_bytes()


RUN_FILES: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "config.json": (read_config, CONFIG),
    "model.safetensors": (lambda folder: load_tensors(folder / "model.safetensors"), save({"a": torch.zeros(2)})),
    "notes.json": (lambda folder: Notes(folder).of("test_public"), json.dumps(NOTES).encode()),
    "notes.sqlite": (exported, file_of_notes()),
    "operating_points.json": (operating_points, json.dumps({"line": POINT}).encode()),
    "sweep.toml": (lambda folder: load_sweep(folder / "sweep.toml"), b'data = "data"\ncategories = ["Praline"]\n'),
}
TARGETS: dict[str, tuple[Callable[[Path, bytes], None], list[bytes]]] = {
    "pictures": (
        read_as_picture,
        [picture(), picture("L", "tiff"), picture("RGBA"), picture("L", "bmp"), picture("RGB", "jpeg")],
    ),
    "data": (read_as_data_set, [framed(b"anomalous: 1\ncolors: 0\n"), framed(b"{normal: true}")]),
    "runs": (read_as_run, [*(valid for _, valid in RUN_FILES.values()), b"\x00[1]", b'\x05"a"', b"\x09-1", b"\x10{}"]),
}


def fuzz(target: str, seconds: int, again: Path | None) -> None:
    """Fuzzes one target in this process, which libFuzzer ends."""
    warnings.simplefilter("ignore")
    read, seeds = TARGETS[target]
    corpus = CORPUS / target
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        arguments = [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", "-rss_limit_mb=3000", "-timeout=30"]
        inputs = [str(again)] if again else [str(corpus)]
        atheris.Setup([sys.argv[0], *arguments, *inputs], lambda content: read(Path(folder), content))
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, help="this one alone, in this process")
    parser.add_argument("--input", type=Path, help="run this input once")
    options = parser.parse_args()
    if options.target:
        fuzz(options.target, round(60 * options.minutes), options.input)
    for target in TARGETS:
        minutes = str(options.minutes / len(TARGETS))
        command = [sys.executable, "-m", "benchmarks.fuzz", "--target", target, "--minutes", minutes]
        result = subprocess.run(command, capture_output=True, text=True)
        last = [line for line in result.stderr.splitlines() if line.startswith(("#", "Done", "stat::"))][-1:]
        print(f"{target}: {'failed' if result.returncode else 'nothing found'}; {' '.join(last)}", flush=True)
        if result.returncode:
            print(result.stderr[-4000:])


if __name__ == "__main__":
    main()
