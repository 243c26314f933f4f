"""The components outside the tabs."""

from __future__ import annotations

import gradio as gr

from afrd.page.common import link
from afrd.page.common.components import Components
from afrd.page.common.selection import Selection
from afrd.page.common.session import PageSession


class PageComponents(Components):
    """Components of the whole page, above the tabs.

    Attributes:
        session: holds the `PageSession`; an input of events only.
        address: the browser's address.
        notice: a sentence about a link that could not be followed.
        arrived: the selection that the link led to; the sentence disappears with the next one.
        entries: the categories and runs that there were when the page last looked.
        news: changes when there is a new run.
    """

    def __init__(self) -> None:
        self.session = gr.State(PageSession())
        self.address, self.notice = link.address(), link.notice()
        self.arrived, self.entries, self.news = gr.State(Selection()), gr.State([]), gr.State(0.0)
