"""What several test files need: a tiny rendered data set, tiny runs, a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

settings.register_profile("unhurried", deadline=None)  # how fast this machine is now is no property of the code
settings.load_profile("unhurried")
# tests run in one process for each processor, so that each, with what it starts, computes with its share of threads
threads = max(1, (os.cpu_count() or 2) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ["OMP_NUM_THREADS"] = str(threads)
torch.set_num_threads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for a browser or for other processes is run again when it fails, as on a busy machine it may.

    The summary names each of them as a rerun; what is wrong fails every time. The files that lie beside this one, which
    take longest, come first, so that no process waits for one of them at the end.
    """
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)
    for item in items:
        if item.get_closest_marker("browser") or item.path.parent.name in ("background", "page"):
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="session", autouse=True)
def feature_cache(tmp_path_factory: pytest.TempPathFactory):
    """Features of the tests do not go into the user's cache."""
    previous = os.environ.get("AFRD_CACHE")
    os.environ["AFRD_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if previous is None:
        del os.environ["AFRD_CACHE"]
    else:
        os.environ["AFRD_CACHE"] = previous


@pytest.fixture(scope="session")
def candies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tiny data set with the category Praline: six lights, 64x64, 6 train, 3 val, 2 good and 2 bad test."""
    from afrd.candies.render import render_category

    root = tmp_path_factory.mktemp("candies")
    render_category(root, "Praline", size=64, train=6, val=3, test_good=2, test_bad=2, twins=True, workers=1)
    return root


@pytest.fixture(scope="session")
def tiny_runs(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the runs Praline/afrd and Praline/single-top, trained for a few steps."""
    import afrd

    runs = tmp_path_factory.mktemp("runs")
    data = afrd.open_dataset(candies, "Praline")
    options = {"size": 64, "width": 16, "epochs": 2, "fusion": "attention", "show_progress": False}
    for lights, name in (("all", "afrd"), ("top", "single-top")):
        afrd.fit(data, lights, runs / "Praline" / name, **options)
    return runs


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """An installed Chromium or Chrome, or Playwright's own; one for all tests of a file, as it takes seconds to start.

    Without any browser the test is skipped, and fails where CI=true.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            why = "no browser: install chromium (Debian: apt-get install chromium) or run `playwright install chromium`"
            if os.environ.get("CI") == "true":
                pytest.fail(why)
            pytest.skip(why)
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()
