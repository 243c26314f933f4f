"""The light table in one file: what the browser fuses equals what the run says, and nothing is asked of anybody."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import afrd
from afrd.analysis.errors.notes import Note, Notes
from afrd.cli.commands import main
from afrd.figures import MAP_LIMIT, shrink
from afrd.model.config import FORMULA_FUSIONS
from afrd.model.evidence import resize
from afrd.model.fusion import fuse_evidence
from afrd.page.common.scripts import joined_text
from afrd.page.light_table.fusion import fusion_of, sent_evidence, with_fusion
from afrd.page.light_table.region import region_on_table
from afrd.page.light_table.share import chosen, shared_page
from afrd.page.light_table.style import SCRIPTS, style
from afrd.runs.loading import load_run
from afrd.runs.thresholds import subset_thresholds

JUDGED = """
import { judge } from './fuse.js';
const found = {};
for (const how of Object.keys(given.scene.fusion.thresholds)) {
  for (const names of given.sets) {
    for (const item of given.scene.lights) item.on = names.includes(item.name);
    const panel = judge(given.scene, given.style, [how], {});
    const parts = given.scene.lights.filter(item => item.on).map(item => [item.mean, item.peak]);
    found[how + ' ' + names] = [panel.score_units, panel.verdict, [...panel.values.values], parts, panel.right];
  }
}
for (const item of given.scene.lights) item.on = true;
const panel = judge(given.scene, given.style, ['attention'], given.say);
return { found, weighed: [panel.score_units, panel.made_by, panel.threshold] };
"""


@pytest.fixture(scope="module")
def table(tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("shared") / "table.html"
    assert main(["share", str(tiny_runs / "Praline" / "afrd"), "--samples", "3", "--out", str(file)]) == 0
    return file


@pytest.fixture(scope="module")
def more_runs(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with learned fusion and one of a patch memory, whose pictures are larger than its grid and not square."""
    runs = tmp_path_factory.mktemp("more-runs")
    data = afrd.open_dataset(candies, "Praline")
    options: dict[str, Any] = {"size": 64, "width": 16, "epochs": 2, "show_progress": False}
    afrd.fit(data, "all", runs / "learned", fusion="learned", **options)
    afrd.fit(data, "all", runs / "memory", method="memory", fusion="max", size=128, show_progress=False)
    return runs


@pytest.mark.browser
@pytest.mark.parametrize("name", ["afrd", "learned", "memory", "afrd in a region", "learned in a region"])
def test_all_sets_of_lights_and_all_fusions_are_judged_as_by_the_run(
    name: str, tiny_runs: Path, more_runs: Path, candies: Path, browser: Any
):
    folder, _, where = name.partition(" ")
    run = load_run((tiny_runs / "Praline" if folder == "afrd" else more_runs) / folder, "cpu")
    if where:
        region = np.zeros((64, 64), bool)
        region[5:40, 20:] = True
        run = run.with_region(region)
    dataset, index = afrd.open_dataset(candies, "Praline")["test_public"], 1
    evidence = run.evidence(dataset).rows(slice(index, index + 1), run.everything)
    lights = [{"name": light} for light in run.lights]
    scene = {"size": dataset.image_size, "header": {"kind": "anomalous"}, "panels": [{}], "lights": lights}
    scene["region"] = region_on_table(run.region)
    scene |= with_fusion(lights, fusion_of(run) | sent_evidence(run, evidence, run.lights))
    sets = [[name for i, name in enumerate(run.lights) if s >> i & 1] for s in range(1, 64)]
    page = browser.new_page()
    script = joined_text(JUDGED, SCRIPTS / "test.js")
    given = {"scene": scene, "sets": sets, "style": style(), "say": {"spots": 0, "top": 0.25}}
    found, weighed = page.evaluate(f"given => {{ {script} }}", given).values()
    own = run.model.config.fusion
    ways = [*FORMULA_FUSIONS, *(["learned"] if own == "learned" else [])]
    assert len(found) == len(ways) * 63
    for how in ways:
        for names in sets if how in (own, "attention") else sets[::8]:
            score, verdict, values, parts, right = found[f"{how} {','.join(names)}"]
            threshold = run.threshold(names, how)
            present = torch.tensor([[light in names for light in run.lights]])
            maps = run.model.maps(evidence.rows(slice(0, 1), present), dataset.image_size, how)
            expected, anomaly_map = float(maps.score[0]), maps.anomaly_map[0].numpy()
            if how == own:
                assert expected == pytest.approx(run.predict_stored(dataset, index, names).score, rel=1e-6)
            assert threshold is not None
            unit = threshold.value
            assert score * unit == pytest.approx(expected, rel=0.005)
            if abs(expected / unit - 1) > 0.005:
                assert verdict == threshold.verdict(expected)
            assert right == ("right" if verdict == "anomalous" else "missed")
            grey = np.clip(shrink(anomaly_map) / unit / MAP_LIMIT * 255, 0, 255).round()
            assert np.abs(np.reshape(values, grey.shape) - grey).max() <= 1
            attention = [float(maps.attention[0, run.lights.index(light)].mean()) for light in names]
            assert [mean for mean, _ in parts] == pytest.approx(attention, abs=2e-3)
            assert sum(peak for _, peak in parts) == pytest.approx(1, abs=1e-3)
    light_maps, weights = (resize(part, dataset.image_size) for part in (evidence.errors, evidence.weights))
    light_maps = light_maps if run.model.region is None else light_maps * run.model.region
    weights = weights * torch.tensor([given["say"].get(light, 1.0) for light in run.lights])[:, None, None]
    expected = float(fuse_evidence(light_maps, weights, weights.amax((2, 3)) > 0)[0].max())
    score, made_by, threshold_text = weighed
    unit = run.threshold([light for light in run.lights if light != "spots"], "attention").value
    assert score * unit == pytest.approx(expected, rel=0.005)
    told = "lights: bottom, right, top at 25 %, left, box" + ("" if own == "attention" else "; fused by attention")
    assert made_by == told and "at their full weight" in threshold_text


def test_thresholds_of_all_sets_at_once_are_those_of_each(tiny_runs: Path):
    run = load_run(tiny_runs / "Praline" / "afrd", "cpu")
    members = np.array([[True, *[False] * 5], [False, True] * 3, [True] * 6])
    for how in (None, "mean", "max"):
        at_once = subset_thresholds(run, members, how)
        one_by_one = [run.threshold([run.lights[i] for i in np.flatnonzero(row)], how) for row in members]
        assert [t.value for t in at_once if t] == pytest.approx([t.value for t in one_by_one if t], rel=1e-6)


@pytest.mark.browser
def test_a_file_is_opened_from_the_disk_and_asks_for_nothing(table: Path, browser: Any):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, asked, wrong = context.new_page(), [], []
    page.on("request", lambda r: None if r.url.startswith("data:") else asked.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(table.as_uri())
    page.wait_for_selector(".panels .verdict b")
    first = page.locator(".panels .panel").nth(1)
    assert "lights: spots, bottom, right, top, left, box" in first.inner_text()
    before = first.locator(".verdict").inner_text()
    kept = page.evaluate_handle(
        "[...document.querySelectorAll('.panels .stage, .tile:not([data-light=box]), .legend')]"
    )
    page.get_by_label("threshold to try").fill("1.98")
    tried = page.locator(".trial").inner_text()
    page.locator(".tile input[value=box]").click()  # only its tile is drawn anew
    assert page.evaluate("kept => kept.every(node => node.isConnected)", kept)
    assert page.evaluate("document.activeElement.value") == "box" and page.locator(".tile.out").count() == 1
    page.get_by_role("button", name="error", exact=True).click()
    assert page.locator(".tile[data-light=box] canvas.map").count() == 0
    page.locator(".tile input[value=box]").click()
    assert page.locator(".tile[data-light=box] canvas.map").count() == 1 and page.locator(".tile.out").count() == 0
    assert page.locator(".trial").inner_text() == tried != ""
    page.get_by_label("threshold to try").fill("1")
    page.get_by_role("button", name="pictures", exact=True).click()
    page.get_by_role("button", name="solo top").click()
    page.wait_for_selector("text='lights: top'")
    alone = first.locator(".verdict").inner_text()
    assert alone != before and page.locator(".light-table.busy").count() == 0
    name = page.locator(".light-table h2").inner_text()
    page.locator(".light-table h2").click()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("name => document.querySelector('.light-table h2').textContent !== name", arg=name)
    assert "lights: top" in first.inner_text()  # the lamps stay as they are
    page.get_by_role("button", name="all", exact=True).click()
    page.get_by_label("fusion of the lights").select_option("max")
    page.wait_for_function("before => document.querySelectorAll('.verdict')[1].textContent !== before", arg=before)
    for lamp in page.locator(".tile input[type=checkbox]").all():
        lamp.uncheck()
    assert "Choose at least one light." in first.inner_text()
    page.get_by_label("lighting of the picture").select_option(":lamps")
    page.wait_for_selector("text='no lamp is on, so this is as photographed'")
    assert page.locator(".lighting .verdict").inner_text() == "under light box"
    assert wrong == [] and asked == [table.as_uri()]
    context.close()


DRAWN = """async () => {
  for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
  const found = selector => [...document.querySelectorAll(`.light-table .stage > ${selector}`)];
  return [...found('canvas:not(.loupe)').map(canvas => canvas.toDataURL()),
    ...found('.lines').map(lines => lines.lastChild.getAttribute('d') ?? '')];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("mode", ["pictures", "error", "attention"])
def test_what_is_drawn_does_not_depend_on_what_was_drawn_before(mode: str, table: Path, browser: Any):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(table.as_uri())
    page.wait_for_selector(".panels .verdict b")
    page.get_by_role("button", name=mode, exact=True).click()
    page.get_by_label("lighting of the picture").select_option(":lamps")
    first = page.evaluate(DRAWN)
    lamps, again = page.locator(".tile input[type=checkbox]"), page.get_by_role("button", name=mode, exact=True)
    for lamp in (0, 3, 5, 3, 5, 0):
        lamps.nth(lamp).click()
        changed = page.evaluate(DRAWN)
        again.click()  # the whole table is drawn anew
        assert page.evaluate(DRAWN) == changed
    assert changed == first
    # several before the next frame
    page.evaluate(
        "for (const i of [0, 1, 2, 3, 4, 0]) document.querySelectorAll('.tile input[type=checkbox]')[i].click()"
    )
    changed = page.evaluate(DRAWN)
    again.click()
    assert page.evaluate(DRAWN) == changed
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_one_picture_under_the_other(table: Path, browser: Any, scheme: str):
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme=scheme)
    page = context.new_page()
    page.goto(table.as_uri())
    page.wait_for_selector(".panels .verdict b")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = page.locator(".panels .stage").evaluate_all("nodes => nodes.map(n => n.getBoundingClientRect().toJSON())")
    assert len(boxes) == 3 and all(box["width"] > 300 for box in boxes)
    assert boxes[0]["bottom"] < boxes[1]["top"] and boxes[1]["bottom"] < boxes[2]["top"]
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(24, 24, 27)"
    assert dark == (scheme == "dark")
    context.close()


@pytest.mark.browser
def test_the_demo_of_the_repository_works_and_is_small(browser: Any):
    file = Path(__file__).parents[2] / "docs" / "demo" / "index.html"
    assert file.stat().st_size < 1_000_000
    page, wrong = browser.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector(".panels .verdict b")
    page.locator(".tile input[value=box]").click()
    assert page.get_by_text("lights: spots, bottom, right, top, left", exact=True).count() == 1
    assert wrong == []


def test_samples_are_of_every_defect_in_turn(candies: Path):
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    first = chosen(dataset, 2)
    assert len({dataset.defects[i] for i in first}) == 2
    assert chosen(dataset, 99) == list(range(len(dataset)))


def test_what_cannot_be_shared_is_said_in_one_sentence(tiny_runs: Path, capsys: pytest.CaptureFixture[str]):
    run = tiny_runs / "Praline"
    assert main(["share", str(run / "single-top")]) == 2
    assert "it is a run of 1 lights, not of 2 to 10" in capsys.readouterr().err
    assert main(["share", str(run / "afrd"), "--sample", "nothing"]) == 2
    assert "Praline/test_public has no sample 'nothing'" in capsys.readouterr().err
    assert main(["share", str(run / "afrd"), "--split", "nothing"]) == 2
    assert "has no split 'nothing'; it has" in capsys.readouterr().err


@pytest.mark.browser
def test_notes_are_shown_as_they_are_and_never_run(tiny_runs: Path, tmp_path: Path, browser: Any):
    evil = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>"
    run = Path(shutil.copytree(tiny_runs / "Praline", tmp_path / "runs")) / "afrd"
    Notes(run).save("test_public", "01", Note(evil, ("scratch",)))
    html = shared_page(run, ["01"])
    assert html.count("</script") == 1 and "default-src 'none'" in html
    (tmp_path / "table.html").write_text(html)
    page = browser.new_page()
    page.goto((tmp_path / "table.html").as_uri())
    page.wait_for_selector(".panels .verdict b")
    assert page.inner_text(".note") == f"{evil} · scratch"
    assert page.evaluate("window.hit") is None and page.locator("img[src=x]").count() == 0
