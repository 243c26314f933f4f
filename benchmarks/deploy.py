"""What a run costs as an ONNX graph, beside PyTorch: `python -m benchmarks.deploy RUN [--parts 20] [--threads 2]`.

Exports the run, scores the whole test split by both, each in a process of its own, and prints how far the scores are
apart, the median time from pictures in memory to score and maps of one part (on the clock, and of the processor, which
other work on the machine changes less), and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BACKENDS = ("PyTorch", "ONNX Runtime")
SHOWN = {"ms": 0, "processor_ms": 0, "start": 1, "memory": 0}  # figures of a backend, and their decimals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, metavar="ROOT", help="data set to read instead of the run's own")
    parser.add_argument("--category", help="its category, where it is not the run's")
    parser.add_argument("--parts", type=int, default=20, help="parts that are timed, after two that are not (20)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    parser.add_argument("--graph", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pictures", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.backend:
        print(json.dumps(measure(options)))
        return
    import afrd

    run = afrd.load_run(options.run, "cpu")
    category = options.category or run.config.category
    data = afrd.open_dataset(options.data or run.config.data_root, category, run.config.views)
    with tempfile.TemporaryDirectory() as folder:
        graph, pictures = Path(folder) / "run.onnx", Path(folder) / "pictures.npy"
        afrd.runs.export_onnx(run, graph)
        np.save(pictures, np.stack([s.images.numpy() for s in data[data.test_split].select(run.lights)]))
        command = [sys.executable, __file__, str(options.run), "--graph", str(graph), "--pictures", str(pictures)]
        command += ["--parts", str(options.parts), "--threads", str(options.threads)]
        results = {
            backend: json.loads(subprocess.run([*command, "--backend", backend], stdout=-1, check=True).stdout)
            for backend in BACKENDS
        }
        size, processor = graph.stat().st_size / 1e6, platform.processor() or platform.machine()
        print(f"{run}: {size:.1f} MB; {options.threads} threads, {processor}")
    ours, theirs = (np.array(results[backend]["scores"]) for backend in BACKENDS)
    worst = np.abs(ours - theirs).max()
    print(f"scores of {len(ours)} parts: {ours.min():.3f} to {ours.max():.3f}, differ by {worst:.1e} at most")
    print("| | one part (ms) | of the processor (ms) | starting (s) | peak memory (MB) |\n|---|---|---|---|---|")
    for backend, figures in results.items():
        print("| " + " | ".join([backend, *(f"{figures[name]:.{digits}f}" for name, digits in SHOWN.items())]) + " |")


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Scores of all parts, median milliseconds of one, seconds until the first answer, and peak memory in MB."""
    pictures = np.load(options.pictures, mmap_mode="r")  # (N, L, 3, H, W)
    began = time.monotonic()
    score = (of_pytorch if options.backend == BACKENDS[0] else of_onnxruntime)(options)
    score(np.array(pictures[0]))
    start = time.monotonic() - began
    score(np.array(pictures[0]))
    times: list[tuple[float, float]] = []
    scores = []
    for part in pictures:
        images = np.array(part)
        began, processor = time.perf_counter(), time.process_time()
        scores.append(score(images))
        times.append((time.perf_counter() - began, time.process_time() - processor))
    memory = peak_memory()
    ms, processor_ms = (1000 * statistics.median(row) for row in zip(*times[: options.parts], strict=True))
    return {"scores": scores, "ms": ms, "processor_ms": processor_ms, "start": start, "memory": memory}


def peak_memory() -> float:
    """Of this process alone in MB, as Linux counts it; `ru_maxrss` would count the process that started it too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def of_pytorch(options: argparse.Namespace) -> Callable[[np.ndarray], float]:
    import torch

    import afrd

    torch.set_num_threads(options.threads)
    run = afrd.load_run(options.run, "cpu")
    return lambda images: run.predict(afrd.Sample("part", torch.from_numpy(images), run.lights)).score


def of_onnxruntime(options: argparse.Namespace) -> Callable[[np.ndarray], float]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(str(options.graph), settings, providers=["CPUExecutionProvider"])

    def score(images: np.ndarray) -> float:
        given = {"pictures": images[None], "present": np.ones((1, len(images)), bool)}
        return float(session.run(None, given)[0][0])

    return score


if __name__ == "__main__":
    main()
