"""Pictures of the page for the documentation: `python docs/screenshots.py [--runs DIR] [--data DIR] [--only TAB ...]`.

Every tab, light and dark, and Explore on a tablet, as docs/screenshots/<tab>[-dark|-tablet].webp; needs Playwright and
a Chromium. A tab is opened by a link, as a reader would open it, and taken when nothing moves in it any more.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from afrd.page.testing import apart

DOCS = Path(__file__).parent
TABS = ("explore", "compare", "errors", "lights", "sweeps", "train", "own", "about")
DESKTOP, TABLET = (1280, 900), (820, 1180)
PRESSED = {"lights": "#lights-start", "own": "#own-example"}  # if it is there
READY = {  # what a tab shows when it has answered; the first time it may work for minutes
    "explore": "#method-scores .track",
    "compare": "#compare-roc .js-plotly-plot",
    "lights": "#lights-body .js-plotly-plot",
    "own": "#own-pictures img",
}
QUIET = """quiet => new Promise(done => {
    let timer = setTimeout(done, quiet);
    new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, quiet); })
        .observe(document.body, { subtree: true, childList: true, attributes: true });
    setTimeout(done, 30000);
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes the pictures of the page that the documentation shows.")
    parser.add_argument("--runs", default="runs/demo")
    parser.add_argument("--data", help="data set to look at; default: where the runs were trained")
    parser.add_argument("--view", default="category=Licorice", help="query of the view to take, such as this")
    parser.add_argument("--only", nargs="*", choices=TABS, default=TABS, help="these tabs only")
    parser.add_argument("--out", type=Path, default=DOCS / "screenshots")
    options = parser.parse_args()
    command = [DOCS.parent / "app.py", "--runs", options.runs]
    with apart(command + (["--data", options.data] if options.data else [])) as (address, _):
        take(address, options.out, options.only, options.view)


def take(address: str, out: Path, tabs: tuple[str, ...], view: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    shots = [(tab, tab, DESKTOP, "light") for tab in tabs] + [(f"{tab}-dark", tab, DESKTOP, "dark") for tab in tabs]
    if "explore" in tabs:
        shots.append(("explore-tablet", "explore", TABLET, "light"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for name, tab, (width, height), theme in shots:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(f"{address}/?tab={tab}&{view}&__theme={theme}")
            wait_until_still(page, tab)
            file = out / f"{name}.webp"
            Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(file, quality=82, method=6)
            print(f"{file} {file.stat().st_size / 1000:.0f} kB", flush=True)
            page.close()


def wait_until_still(page: Page, tab: str) -> None:
    page.wait_for_selector(".light-table .panels", state="attached", timeout=300_000)
    page.evaluate(QUIET, 2000)
    button = page.locator(PRESSED.get(tab, "#none"))
    if button.count() and button.first.is_visible():
        button.first.click()
    if tab in READY:
        page.wait_for_selector(READY[tab], timeout=600_000)
    page.evaluate(QUIET, 2000)


if __name__ == "__main__":
    main()
