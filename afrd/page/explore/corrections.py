"""Corrections of the shown run: "this is normal" and "a missed defect" at the pinned place, with a preview."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.errors
import afrd.analysis.explain
import afrd.data
import afrd.figures
import afrd.runs
from afrd.page.common import link as links
from afrd.page.common.components import Components, menu
from afrd.page.common.html import macros, plain
from afrd.page.common.library import Library
from afrd.page.common.samples import dataset_of, sample_label
from afrd.page.common.session import PageSession

if TYPE_CHECKING:
    from afrd.data.dataset import MultiLightDataset
    from afrd.page.common.selection import Selection
    from afrd.runs.run import Run

TEMPLATE = "explore/corrections.html"
SHOWN_SETS = 5  # sets of lights that would have found a missed defect
PATCH_SHARE, PATCH_PIXELS = 0.17, 72  # of a picture that a thumbnail shows, and its side
Redraw = Callable[[PageSession], dict]


class CorrectionComponents(Components):
    """The buttons, their preview with Keep and Discard, and the list of stored corrections."""

    def lay_out(self) -> None:
        with gr.Accordion("Corrections", open=False, elem_id="corrections"):
            gr.HTML("Click a place in a picture, then say what it is. Nothing is trained.", elem_classes="hint")
            self.why = gr.Textbox(label="Reason", max_length=200, elem_id="correction-why")
            self.normal = gr.Button("This is normal", size="sm", elem_id="correction-normal")
            self.whole = gr.Button("The whole part is normal", size="sm", elem_id="correction-whole")
            self.missed = gr.Button("A missed defect: find similar places", size="sm", elem_id="correction-missed")
            with gr.Column(visible=False, elem_id="correction-answer") as self.answer:
                self.preview = gr.HTML()
                with gr.Row():
                    self.keep = gr.Button("Keep", variant="primary", size="sm", min_width=60, elem_id="correction-keep")
                    self.discard = gr.Button("Discard", size="sm", min_width=60, elem_id="correction-discard")
            self.kept = menu("Kept with this run", "correction-kept", 160)
            with gr.Row():
                self.undo = gr.Button("Undo this one", size="sm", min_width=60, elem_id="correction-undo")
                self.restore = gr.Button(
                    "Restore the last one", size="sm", min_width=60, visible=False, elem_id="correction-restore"
                )


@dataclass(frozen=True)
class Proposal:
    """A corrected run that waits for Keep, and the selection that it was made for."""

    run: Run
    made_for: Selection


class Proposed:
    """The proposal of this browser session that waits for Keep."""

    def __init__(self) -> None:
        self.proposal: Proposal | None = None


class CorrectionControls:
    """Handlers of the events.

    Args:
        components: the buttons.
        library: of the page.
        on, follow: connect an event of this page, and a handler to every change of the selection.
        outputs: what `redraw` fills.
        redraw: values of `outputs` after a run has changed.
    """

    def __init__(
        self,
        components: CorrectionComponents,
        library: Library,
        on: Callable,
        follow: Callable,
        outputs: list,
        redraw: Redraw,
    ) -> None:
        self.components, self.library, self.redraw = components, library, redraw
        answer, busy = components.named("answer", "preview"), {"show_progress": "minimal", "trigger_mode": "once"}
        for button, handler, name in (
            (components.normal, self.propose_normal, "propose_correction"),
            (components.whole, self.propose_whole, "propose_whole_part"),
            (components.missed, self.propose_missed, "find_like_missed"),
        ):
            on(button.click, handler, [components.why], answer, name, **busy)
        changed = [*answer, components.kept, components.restore, components.why, *outputs]
        on(components.keep.click, self.keep, [], changed, "keep_correction", trigger_mode="once")
        on(components.discard.click, self.discard, [], answer, "discard_correction")
        on(components.undo.click, self.undo, [components.kept], changed, "undo_correction", trigger_mode="once")
        on(components.restore.click, self.restore, [], changed, "restore_correction", trigger_mode="once")
        listed = [*answer, components.kept, components.restore]
        follow(self.follow, [], listed, "list_corrections", concurrency_id="following")

    def propose_normal(self, session: PageSession, why: str, request: gr.Request) -> dict:
        return self._propose(session, why, request, "normal", session.selection.pinned)

    def propose_whole(self, session: PageSession, why: str, request: gr.Request) -> dict:
        return self._propose(session, why, request, "normal", None, whole=True)

    def propose_missed(self, session: PageSession, why: str, request: gr.Request) -> dict:
        return self._propose(session, why, request, "defect", session.selection.pinned)

    def _propose(
        self,
        session: PageSession,
        why: str,
        request: gr.Request,
        kind: str,
        place: tuple[int, int] | None,
        whole: bool = False,
    ) -> dict:
        selection = session.selection
        if selection.run is None or selection.index is None:
            raise ValueError("there is no run here that could be corrected; train one first")
        if place is None and not whole:
            raise ValueError("click the place in a picture first, so that it is pinned")
        dataset, index = dataset_of(self.library, selection), selection.index
        if not self.library.scored(selection.run, dataset):
            raise ValueError("work out the scores of this split first, with the button below the samples")
        run, lights = self.library.run(selection.run), selection.lights or None
        scored = self.library.scores(selection.run, dataset, lights or run.lights)
        who = request.username if request is not None else None
        candidate = afrd.runs.propose(run, dataset, index, place, " ".join((why or "").split()), who, kind)
        if kind == "normal":
            changed = afrd.analysis.errors.changes(run, candidate, dataset, lights, scored)
            preview = macros(TEMPLATE).preview(changed.sentence(), changed.table.to_dict("records"))
        else:
            assert place is not None
            preview = self._like_it(selection, run, dataset, index, place)
        session.state(Proposed).proposal = Proposal(candidate, selection)
        return self.components.filled({"answer": gr.Column(visible=True), "preview": preview})

    def _like_it(
        self, selection: Selection, run: Run, dataset: MultiLightDataset, index: int, place: tuple[int, int]
    ) -> str:
        light = selection.shown if selection.shown in run.lights else afrd.figures.main_light(run.lights)
        reached = afrd.analysis.explain.reach(run, dataset, index, place)
        sets = [(", ".join(lights), value) for lights, value in reached.sets[:SHOWN_SETS]] if reached else []
        places = []
        for one in afrd.analysis.explain.alike(run, dataset, index, place, dataset, selection.lights or None):
            picture = afrd.data.read_picture(dataset.picture(one.index, light))
            place_selection = replace(selection, index=one.index, pinned=(one.x, one.y))
            places.append(
                {
                    "sample": one.sample,
                    "truth": sample_label(dataset, one.index)[1],
                    "distance": one.distance,
                    "patch": afrd.figures.patch_uri(picture, (one.x, one.y), PATCH_SHARE, PATCH_PIXELS),
                    "address": "?" + links.query_of(self.library, place_selection),
                }
            )
        return macros(TEMPLATE).missed(reached, sets, light, places)

    def keep(self, session: PageSession) -> dict:
        waiting = session.state(Proposed)
        proposal, waiting.proposal = waiting.proposal, None
        if proposal is None:
            raise ValueError("there is nothing to keep; say first what the place is")
        about = afrd.runs.keep(proposal.run).corrections[-1].about
        word = "is normal now" if about.kind == "normal" else "is remembered as a missed defect"
        gr.Info(plain(f"The place in sample {about.sample} {word}."))
        return self._changed(session) | self.components.filled({"why": ""})

    def discard(self, session: PageSession) -> dict:
        session.state(Proposed).proposal = None
        return self.components.filled(_no_preview())

    def undo(self, session: PageSession, correction: str | None) -> dict:
        folder = session.selection.run
        if folder is None or not correction:
            raise ValueError("choose the correction first that is to be undone")
        session.state(Proposed).proposal = None
        afrd.runs.remove_correction(folder, correction)
        return self._changed(session) | self.components.filled({"why": gr.skip()})

    def restore(self, session: PageSession) -> dict:
        """Restores the correction that was undone last, by any user."""
        folder = session.selection.run
        removed = afrd.runs.removed_ids(folder) if folder is not None else []
        if folder is None or not removed:
            raise ValueError("there is no undone correction of this run to restore")
        session.state(Proposed).proposal = None
        # not the library's run: that is looked up in this event's snapshot, and would be shown as it was before
        afrd.runs.restore(afrd.runs.load_run(folder), removed[0])
        return self._changed(session) | self.components.filled({"why": gr.skip()})

    def follow(self, session: PageSession) -> dict:
        """The list of the shown run; a preview disappears with the sample or the place that it is about."""
        waiting, selection = session.state(Proposed), session.selection
        values: dict[str, Any] = {"answer": gr.skip(), "preview": gr.skip()}
        if waiting.proposal is not None and _subject(waiting.proposal.made_for) != _subject(selection):
            waiting.proposal, values = None, _no_preview()
        return self.components.filled({**values, **self._listed(selection)})

    def _changed(self, session: PageSession) -> dict:
        values = self.redraw(session)  # reads the run anew
        return values | self.components.filled({**_no_preview(), **self._listed(session.selection)})

    def _listed(self, selection: Selection) -> dict[str, Any]:
        """What is kept with the shown run, and whether there is something to restore."""
        choices = []
        try:
            corrections = self.library.run(selection.run).corrections if selection.run is not None else ()
        except (ValueError, OSError):  # shown in the light table
            corrections = ()
        for about in (correction.about for correction in reversed(corrections)):
            place = "whole part" if about.place is None else f"x {about.place[0]}, y {about.place[1]}"
            kind = "" if about.kind == "normal" else "missed defect"
            words = (about.sample, place, kind, about.why, about.who, about.when[:10])
            choices.append((" · ".join(filter(None, words)), about.id))
        can_restore = selection.run is not None and bool(afrd.runs.removed_ids(selection.run))
        return {
            "kept": gr.Dropdown(choices, value=choices[0][1] if choices else None),
            "restore": gr.Button(visible=can_restore),
        }


def _subject(selection: Selection) -> tuple:
    """What a preview is about."""
    return selection.category, selection.run, selection.split, selection.index, selection.pinned


def _no_preview() -> dict[str, Any]:
    return {"answer": gr.Column(visible=False), "preview": ""}
