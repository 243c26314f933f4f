"""Every method on the demo runs that come with the package, as the table in the README.

    afrd render data/candies --category Licorice
    python -m benchmarks.demo_table data/candies

Rendered Licorice (256 pixels, seed 0, 20 good and 20 bad test samples), EfficientNet-Lite0, one training each.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import afrd
from afrd.analysis.comparison import methods_of
from afrd.demo.prepare import SHIPPED_RUNS, copy_shipped_run

METRICS = ("image_auroc", "pixel_ap", "aupro")


def rows(root: Path, category: str = "Licorice") -> dict[str, list[float]]:
    """Metrics (`METRICS`) of every method on the test split, by the method's label."""
    data = afrd.open_dataset(root, category)
    with tempfile.TemporaryDirectory() as folder:
        runs, teacher = [], None
        for shipped in sorted((SHIPPED_RUNS / category).iterdir()):
            teacher = teacher or afrd.load_run(shipped).teacher
            copy_shipped_run(shipped, Path(folder) / shipped.name, root, teacher)
            runs.append(afrd.load_run(Path(folder) / shipped.name, teacher=teacher))
        table = {}
        for method in methods_of(runs):
            metrics = method.judge(data[data.test_split]).metrics()
            table[method.label] = [metrics[name] for name in METRICS]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the rendered data")
    table = rows(parser.parse_args().root)
    print("| method | image AUROC | pixel AP | AUPRO |\n|---|---|---|---|")
    for label, figures in table.items():
        print(f"| {label} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
