"""Accessibility: axe-core on every tab of the real page, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.page.helpers import PATIENCE, app_command, browsing, serving, settled

# Findings in Gradio's own components, which nothing here can mend: rule, part of the markup, and why it is theirs.
THEIRS = [
    (
        "button-name",
        '<div class="image-frame',
        "a gr.Image that can be clicked is a button, and has no way to be named",
    ),
    ("label-title-only", 'class="select-all-checkbox', "gr.Dataframe's own check box has a title, but no label"),
    (
        "svg-img-alt",
        'class="mark-rect role-mark brush_brush',
        "the brush of gr.ScatterPlot has no name",
    ),
]


@pytest.fixture(scope="module")
def app(tiny_runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(tiny_runs, candies)) as address:
        yield address


@pytest.mark.browser
def test_no_serious_finding_is_ours(app: str, browser: Browser):
    found = []
    with browsing(browser, app, "/?__theme=dark") as page:
        page.wait_for_selector(".thumb .score")
        page.add_style_tag(content="* { transition: none !important }")  # the theme changes at once
        for tab in page.get_by_role("tab").all_inner_texts():
            page.get_by_role("tab", name=tab).click()
            settled(page)
            # Gradio's placeholder of a plot that is still being made has a label that axe does not allow
            expect(page.locator("[aria-label='Empty value']:visible")).to_have_count(0, timeout=PATIENCE)
            settled(page)
            found += findings(page, f"{tab}, dark")
            page.evaluate("document.body.classList.remove('dark')")
            found += findings(page, f"{tab}, light", runOnly=["color-contrast"])  # all else is the same
            page.evaluate("document.body.classList.add('dark')")
    ours = [f for f in found if not any(f[1] == rule and part in f[2] for rule, part, _ in THEIRS)]
    assert not ours, "\n\n".join(" | ".join(part[:400] for part in finding) for finding in ours)


def findings(page: Page, where: str, **options: Any) -> list[tuple[str, str, str, str]]:
    """Where, the rule, the markup and a summary of each serious finding."""
    violations = Axe().run(page, options={"resultTypes": ["violations"]} | options).response["violations"]
    serious = [violation for violation in violations if violation["impact"] in ("serious", "critical")]
    return [(where, one["id"], node["html"], node["failureSummary"]) for one in serious for node in one["nodes"]]
