"""Predictions on a split: a table and the maps behind it; thresholds, intervals and paired comparisons."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from afrd.files import load_json, replacing, save_json
from afrd.metrics.bootstrap import Resampler, interval
from afrd.metrics.ranking import image_metrics, pixel_metrics
from afrd.metrics.threshold import Threshold
from afrd.metrics.words import METRICS, counted


def region_share(region: np.ndarray) -> str:
    """The share of the picture that a region (H, W) covers, as text such as `43 %`."""
    share = 100 * float(region.mean())
    return f"{share:.0f} %" if share >= 1 else f"{share:.2g} %"


def _or_everywhere(region: np.ndarray | None) -> np.ndarray:
    return np.array(True) if region is None or region.all() else region


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of one method on one split.

    Attributes:
        table: a row a sample: `sample`, `anomalous` (True, False, None unknown), `defects` (joined by +), `score`,
            `verdict` (empty without a threshold); `corrected` (bool) where the method has corrections, see
            `afrd.runs.corrections`: such a sample does not count, so its truth is None here.
        maps: (N, H, W) float32 anomaly maps, in the order of the table.
        masks: (N, H, W) bool; rows whose truth is not known are False and not `masked`.
        masked: (N,) bool, the samples whose defective pixels are known.
        method: name of the method and its lights, as text and figures show it.
        lights: names of the lights used.
        threshold: behind the verdicts; None without one.
        category, split: of the samples; "" where they are not known, as in folders that older versions saved.
        region: (H, W) bool, where the maps are judged; pixel metrics leave out what lies outside. None: everywhere.
        corrections: how many the method has.
    """

    table: pd.DataFrame
    maps: np.ndarray
    masks: np.ndarray
    masked: np.ndarray
    method: str
    lights: tuple[str, ...]
    threshold: Threshold | None = None
    category: str = ""
    split: str = ""
    region: np.ndarray | None = None
    corrections: int = 0

    @property
    def corrected(self) -> np.ndarray:
        """(N,) bool, the samples that were corrected and do not count."""
        return self.table.get("corrected", pd.Series(False, self.table.index)).to_numpy(bool)

    @property
    def corrections_text(self) -> str:
        """Such as `2 corrections; 1 corrected sample is not counted`; empty without corrections."""
        return corrections_text(self.corrections, int(self.corrected.sum()))

    def counted_as(self, other: Predictions) -> Predictions:
        """These predictions without the samples that were corrected for the other method, so that they compare."""
        more = other.corrected & ~self.corrected
        if not more.any():
            return self
        truth = [None if out else label for out, label in zip(more, self.table.anomalous, strict=True)]
        table = self.table.assign(anomalous=pd.Series(truth, self.table.index, object), corrected=self.corrected | more)
        return replace(self, table=table, masked=self.masked & ~more)

    def metrics(self) -> dict[str, float]:
        """All of `METRICS`, over the samples with known truth; NaN where one is not defined."""
        return dict(self._metrics)

    @cached_property
    def _metrics(self) -> dict[str, float]:
        labelled = self._labelled()
        result = dict.fromkeys(METRICS, math.nan)
        if labelled.any():
            result |= image_metrics(self._labels()[labelled], self.table.score.to_numpy()[labelled])
        if self.masked.any():
            result |= pixel_metrics(self.masks[self.masked], self.maps[self.masked], self.region)
        return result

    @property
    def judged_masks(self) -> np.ndarray:
        """`masks` inside the region, (N, H, W) bool: the defective pixels that count."""
        return self.masks if self.region is None else self.masks & self.region

    def outside(self) -> list[str]:
        """Names of the samples with known defective pixels of which none lies in the region."""
        if self.region is None:
            return []
        lost = np.flatnonzero(self.masks.any((1, 2)) & ~self.judged_masks.any((1, 2)))
        return [str(self.table["sample"].iloc[i]) for i in lost]

    def note(self) -> str:
        """Remarks for a reader of the metrics on region and corrections, as sentences; empty without either."""
        corrections = f"With {self.corrections_text}." if self.corrections else ""
        return " ".join(filter(None, (self.region_note(), corrections)))

    def region_note(self) -> str:
        """Remarks for a reader of the metrics on the region, as sentences; empty without one."""
        if self.region is None:
            return ""
        note = f"Judged inside a region of {region_share(self.region)} of the picture; pixels outside are left out."
        lost = self.outside()
        if lost:
            names = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
            samples = counted(len(lost), "sample")
            note += f" The whole defect of {samples} lies outside ({names}): it counts as anomalous all the same."
        return note

    def intervals(self, repeats: int = 1000, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
        """Bootstrap intervals over the samples: index metric, columns `value`, `low`, `high`."""
        draws = self._draws(repeats, seed)
        edges = interval(draws, level)
        metrics = self.metrics()
        return pd.DataFrame(
            {"value": [metrics[m] for m in METRICS], "low": edges[0], "high": edges[1]}, index=list(METRICS)
        )

    def compare(self, other: Predictions, repeats: int = 1000, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
        """This method minus another on the same samples, with paired bootstrap intervals.

        Samples are drawn with replacement, the same ones for both methods. Pixel metrics of a draw are computed from
        histograms of 4096 equally filled bins, which agree with the exact values to about 1e-3.

        Returns:
            Index metric; columns `this`, `other`, `difference`, `low`, `high` (of the difference), `better` (the
            interval lies above zero).

        Raises:
            ValueError: the two are about different samples.
        """
        self.check_same_samples(other, "compared")
        own, other = self.counted_as(other), other.counted_as(self)
        draws = own._draws(repeats, seed) - other._draws(repeats, seed)
        edges = interval(draws, level)
        own_metrics, other_metrics = own.metrics(), other.metrics()
        table = pd.DataFrame(
            {"this": [own_metrics[m] for m in METRICS], "other": [other_metrics[m] for m in METRICS]},
            index=list(METRICS),
        )
        table["difference"] = table.this - table.other
        table["low"], table["high"] = edges
        table["better"] = table.low > 0
        return table

    def check_same_samples(self, other: Predictions, purpose: str) -> None:
        """Checks that both are about the same samples: by category, split and names, which categories often share.

        Args:
            other: must be about the same samples in the same order.
            purpose: a participle for the message, such as `compared`.

        Raises:
            ValueError: the samples differ.
        """
        for mine, theirs in ((self.category, other.category), (self.split, other.split)):
            if mine and theirs and mine != theirs:
                raise ValueError(
                    f"{self.method} on {self.category}/{self.split} and {other.method} on "
                    f"{other.category}/{other.split} are about different samples and cannot be {purpose}; evaluate "
                    "both on one split of one category"
                )
        if list(self.table["sample"]) != list(other.table["sample"]):
            raise ValueError(
                f"{self.method} and {other.method} are about different samples and cannot be {purpose}; "
                "evaluate both on the same samples"
            )
        if not np.array_equal(_or_everywhere(self.region), _or_everywhere(other.region)):
            raise ValueError(
                f"{self.method} and {other.method} are judged inside different regions of the picture and cannot be "
                f"{purpose}; evaluate both with one region (`Run.with_region`, --roi)"
            )

    def save(self, folder: Path) -> None:
        """Writes `table.csv`, `maps.npy`, `masks.npy`, then `about.json`, which marks them complete."""
        with replacing(folder / "table.csv") as path:
            self.table.to_csv(path, index=False)
        for name, array in (("maps", self.maps), ("masks", np.packbits(self.masks, axis=-1))):
            with replacing(folder / f"{name}.npy") as path:
                np.save(path, array, allow_pickle=False)
        region_file = folder / "region.npy"
        if self.region is None:
            region_file.unlink(missing_ok=True)
        else:
            with replacing(region_file) as path:
                np.save(path, np.packbits(self.region, axis=-1), allow_pickle=False)
        about = {
            "method": self.method,
            "lights": list(self.lights),
            "category": self.category,
            "split": self.split,
            "masked": self.masked.tolist(),
            "threshold": asdict(self.threshold) if self.threshold else None,
            "region": self.region is not None,
            "corrections": self.corrections,
            "metrics": {k: None if math.isnan(v) else v for k, v in self.metrics().items()},
        }
        save_json(folder / "about.json", about)

    @staticmethod
    def load(folder: str | Path) -> Predictions:
        """Raises ValueError that names the missing or broken file."""
        folder = Path(folder)
        about = load_json(folder / "about.json")
        try:
            names = {"sample": str, "defects": str, "verdict": str}
            table = pd.read_csv(folder / "table.csv", dtype=names, keep_default_na=False)
            table["anomalous"] = [{"True": True, "False": False}.get(str(value)) for value in table.anomalous]
            table["anomalous"] = table.anomalous.astype(object)
            maps = np.load(folder / "maps.npy", mmap_mode="r", allow_pickle=False)
            packed = np.load(folder / "masks.npy", allow_pickle=False)
            masks = np.unpackbits(packed, axis=-1, count=maps.shape[-1]).astype(bool)
            threshold = Threshold(**about["threshold"]) if about["threshold"] else None
            region = None
            if about.get("region"):
                packed = np.load(folder / "region.npy", allow_pickle=False)
                region = np.unpackbits(packed, axis=-1, count=maps.shape[-1]).astype(bool)
            return Predictions(
                table,
                maps,
                masks,
                np.array(about["masked"]),
                about["method"],
                tuple(about["lights"]),
                threshold,
                about.get("category", ""),
                about.get("split", ""),
                region,
                about.get("corrections", 0),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"predictions in {folder} cannot be read ({error}); run `afrd evaluate` again") from error

    def _labels(self) -> np.ndarray:
        return np.array([label is True for label in self.table.anomalous])

    def _labelled(self) -> np.ndarray:
        return np.array([label is not None for label in self.table.anomalous])

    def _draws(self, repeats: int, seed: int) -> np.ndarray:
        """(repeats, metrics), cached, since one method is compared with many."""
        if (repeats, seed) not in self._cached_draws:
            labelled = bool(self._labelled().any())  # without labels no metric is defined in any draw
            undefined = np.full((repeats, len(METRICS)), np.nan)
            self._cached_draws[repeats, seed] = self.resampler.draw(repeats, seed) if labelled else undefined
        return self._cached_draws[repeats, seed]

    @cached_property
    def _cached_draws(self) -> dict[tuple[int, int], np.ndarray]:
        return {}

    @cached_property
    def resampler(self) -> Resampler:
        """Metrics of any draw of the samples with known truth, in the order of the table."""
        labelled = self._labelled()
        return Resampler(
            self._labels()[labelled],
            self.table.score.to_numpy()[labelled],
            self.masks[labelled],
            self.maps[labelled],
            self.masked[labelled],
            self.region,
        )


def corrections_text(corrections: int, samples: int) -> str:
    """The corrections behind some figures, in words, and how many samples were corrected; empty without any."""
    if not corrections:
        return ""
    left_out = f"{counted(samples, 'corrected sample')} {'is' if samples == 1 else 'are'} not counted"
    return f"{counted(corrections, 'correction')}; {left_out}"
