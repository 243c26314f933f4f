"""Region of interest of a run: where parts are judged. It is read from a picture, found from good parts, or drawn.

    run = run.with_region(read_region(Path("mask.png"), run.config.picture_size))  # for now
    save_region(run.folder, run.region)  # kept with the run, for `load_run`

A region is (H, W) bool at the size of the training pictures, and holds at least one pixel. Outside of it maps are 0;
the score is the maximum inside, as are the scores that set thresholds. Training does not depend on it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from afrd.data.dataset import Category, MultiLightDataset
from afrd.data.images import decode_mask, picture_size, pixels_text
from afrd.files import replacing

REGION_FILE = "region.png"  # of a run
DATA_REGION_FILE = "roi.png"  # in the folder of a category: that of the runs trained on it
ROI_AUTO, ROI_NONE = "auto", "none"
MIN_PARTS, MAX_PARTS = 4, 24  # good parts that a silhouette is found from
MARGIN = 0.02  # around a silhouette, as a fraction of the longer side
CLOSED_GAP = 0.015  # gaps in a silhouette up to twice this fraction of the longer side are closed
MIN_DEVIATION = 1 / 1024  # of grey values 0..1; smaller ones are quantisation
MIN_SEPARATION = 0.78  # share of the variance between the two classes; a flat distribution has 0.75
COVERED_SHARES = 0.01, 0.95  # of the picture that a silhouette may cover
MAX_CORNERS = 4000  # of all polygons of a drawing


def checked_region(region: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A region (H, W) bool at pictures of this size.

    A region of another size but of the same aspect ratio is resized, each pixel to that of the nearest place.

    Raises:
        ValueError: another aspect ratio, or nothing inside.
    """
    if region.ndim != 2:
        raise ValueError(f"a region is (H, W), but this one has the shape {region.shape}")
    if region.shape != tuple(size):
        check_aspect("the region", (region.shape[0], region.shape[1]), size)
        rows, columns = (
            ((np.arange(pixels) + 0.5) * own / pixels).astype(int)
            for pixels, own in zip(size, region.shape, strict=True)
        )
        region = region[np.ix_(rows, columns)]
    if not region.any():
        raise ValueError("the region is empty: no pixel is inside, so nothing could be judged")
    return np.ascontiguousarray(region, dtype=bool)


def check_aspect(what: str, own: tuple[int, int], size: tuple[int, int]) -> None:
    """Raises ValueError where a size (H, W) has another aspect ratio than `size`, by more than a pixel."""
    if abs(own[0] * size[1] / own[1] - size[0]) > max(1.0, size[0] / own[0]):
        raise ValueError(
            f"{what} is {pixels_text(own)} pixels, but the pictures are {pixels_text(size)}; make it of their size, or "
            "of the same aspect ratio"
        )


def read_region(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The region in a picture file: what is not black (`afrd.data.decode_mask`), for pictures of this size.

    Raises:
        ValueError: the picture cannot be read, has another aspect ratio, or is black everywhere.
        FileNotFoundError: the file does not exist.
    """
    check_aspect(str(path), picture_size(path), size)
    region = decode_mask(path).defective
    if not region.any():
        raise ValueError(f"{path} is black everywhere, so nothing would be judged; make the inside of the region white")
    return checked_region(region, size)


def region_of(roi: Path | str, size: tuple[int, int], data: Callable[[], Category]) -> np.ndarray | None:
    """The region for a value of `--roi`, for pictures of this size (H, W); None for `none`.

    Args:
        roi: a picture, `auto` or `none`.
        size: of the training pictures.
        data: opens the data set; called for `auto` only, which reads its train split under all lights.

    Raises:
        ValueError, FileNotFoundError: see `read_region` and `silhouette`.
    """
    if roi == ROI_NONE:
        return None
    if roi != ROI_AUTO:
        return read_region(Path(roi), size)
    category = data()
    if "train" not in category:
        raise ValueError(
            f"--roi auto finds the region from good training parts, and {category.name} has no train split"
        )
    return checked_region(silhouette(category["train"]), size)


def data_region(data: Category) -> Path | None:
    """Path of the picture of the region in a category's folder; None without one."""
    path = data.root / data.name / DATA_REGION_FILE
    return path if path.is_file() else None


def stored_region(folder: Path, size: tuple[int, int]) -> np.ndarray | None:
    """The region kept with the run in this folder; None without one.

    Raises:
        ValueError: its file is broken or does not fit; the message names it.
    """
    path = folder / REGION_FILE
    return read_region(path, size) if path.is_file() else None


def save_region(folder: Path, region: np.ndarray | None) -> None:
    """Keeps a region with the run in this folder, replacing an existing one; None removes it."""
    if region is None:
        (folder / REGION_FILE).unlink(missing_ok=True)
        return
    with replacing(folder / REGION_FILE) as path:
        Image.fromarray(region).save(path, "png")  # 1 bit a pixel


def copy_region(folder: Path, to: Path) -> None:
    """Copies the region of one run to another, if there is one."""
    if (folder / REGION_FILE).is_file():
        with replacing(to / REGION_FILE) as path:
            shutil.copyfile(folder / REGION_FILE, path)


def drawn_region(polygons: Sequence[Sequence[Sequence[float]]], size: tuple[int, int]) -> np.ndarray:
    """The union of polygons: the pixels whose middle lies inside one (by the even-odd rule where it crosses itself).

    Args:
        polygons: each a list of corners (x, y) in pixels, (0, 0) being the upper left corner of the picture; what lies
            outside of the picture is cut off.
        size: (H, W) of the pictures.

    Raises:
        ValueError: a polygon of fewer than three corners, too many corners, or nothing inside the picture.
    """
    if any(len(corners) < 3 for corners in polygons):
        raise ValueError("a polygon of a region needs at least three corners")
    if sum(map(len, polygons)) > MAX_CORNERS:
        raise ValueError(f"the drawing has more than {MAX_CORNERS} corners; draw it more coarsely")
    region = np.zeros(size, bool)
    for corners in polygons:
        region |= _filled(np.asarray(corners, dtype=float), size)
    return checked_region(region, size)


def _filled(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The inside of one polygon (K, 2): along each row of pixels, an edge that crosses it changes in and out."""
    height, width = size
    changes = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        first, last = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in (min(y0, y1), max(y0, y1)))
        rows = np.arange(first, last)
        if len(rows):
            crossings = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            np.add.at(changes, (rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)), 1)
    return (np.cumsum(changes, 1) % 2 == 1)[:, :width]


def silhouette(good: MultiLightDataset) -> np.ndarray:
    """Where good parts differ from each other: the union of their silhouettes, with a margin.

    The background is the same in all pictures of one light, the parts are not: at each pixel, the standard deviation of
    the grey value over the parts, averaged over the lights. Otsu's threshold of its logarithm separates the two; then
    gaps are closed, holes filled, the largest connected piece taken, and `MARGIN` added. It needs a fixed camera.

    Args:
        good: a split of good parts, of which at most `MAX_PARTS`, evenly spread, are read; with all its lights.

    Raises:
        ValueError: too few parts, or no silhouette stands out.
    """
    advice = "draw the region in the page, or give it as a picture (--roi FILE)"
    if len(good) < MIN_PARTS:
        raise ValueError(
            f"{good.category}/{good.split} has {len(good)} samples; a silhouette needs {MIN_PARTS} of them: {advice}"
        )
    values = np.log(np.maximum(_deviation(good), MIN_DEVIATION))
    level, separation = _otsu(values)
    part = _largest_piece(values > level)
    if separation < MIN_SEPARATION or not COVERED_SHARES[0] <= part.mean() <= COVERED_SHARES[1]:
        raise ValueError(
            f"no silhouette stands out in {good.category}/{good.split}: the pictures vary by about as much everywhere; "
            f"{advice}"
        )
    return ndimage.distance_transform_edt(~part) <= MARGIN * max(part.shape)


def _deviation(good: MultiLightDataset) -> np.ndarray:
    """(H, W) standard deviation of the grey value over the parts, mean over the lights."""
    index = np.unique(np.linspace(0, len(good) - 1, min(MAX_PARTS, len(good))).round().astype(int))
    total = squares = np.zeros(())
    for i in index:
        grey = good[int(i)].images.mean(1).double().numpy()  # (L, H, W)
        total, squares = total + grey, squares + grey**2
    mean = total / len(index)
    return np.sqrt(np.maximum(squares / len(index) - mean**2, 0)).mean(0)


def _otsu(values: np.ndarray) -> tuple[float, float]:
    """The threshold with the largest variance between its two classes (Otsu 1979,
    https://doi.org/10.1109/TSMC.1979.4310076), and that share of the variance."""
    counts, edges = np.histogram(values, 256)
    middles, below = (edges[:-1] + edges[1:]) / 2, np.cumsum(counts)
    sums, total = np.cumsum(counts * middles), counts.sum()
    weight = below * (total - below)
    between = np.divide((sums[-1] * below - sums * total) ** 2, weight, out=np.zeros(256), where=weight > 0) / total**2
    best = int(between.argmax())
    return float(edges[best + 1]), float(between[best] / max(values.var(), 1e-12))


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask, gaps closed and holes filled."""
    reach = max(1, round(CLOSED_GAP * max(mask.shape)))
    padded = np.pad(mask, reach)
    grown = ndimage.distance_transform_edt(~padded) <= reach if padded.any() else padded
    closed = ndimage.distance_transform_edt(grown) > reach  # what is left of it when its edge moves back
    filled = ndimage.binary_fill_holes(closed[reach:-reach, reach:-reach])
    pieces, count = ndimage.label(filled)
    return pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]) if count else filled
