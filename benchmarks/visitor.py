"""Sends the page the events that a browser would send."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import httpx


class Visitor:
    """One browser tab's session, without a browser."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=600)
        self.session = uuid.uuid4().hex
        config = self.client.get("/config").json()
        self.events = {event["api_name"]: event for event in config["dependencies"]}

    def send(self, name: str, event_data: dict | None = None, **inputs: object) -> tuple[float, list]:
        """Server seconds of an event, and its output values; inputs by position as `_0`, `_1` …

        Raises:
            RuntimeError: the event failed.
        """
        event = self.events[name]
        data = [inputs.get(f"_{i}") for i in range(len(event["inputs"]))]
        body = {"fn_index": event["id"], "data": data, "event_data": event_data, "session_hash": self.session}
        self.client.post("/gradio_api/queue/join", json=body).raise_for_status()
        for message in self._messages():
            if message["msg"] == "process_completed":
                if not message["success"]:
                    raise RuntimeError(f"{name}: {message['output'].get('error')}")
                return message["output"]["duration"], message["output"]["data"]
        raise RuntimeError(f"{name}: the page hung up")

    def _messages(self) -> Iterator[dict]:
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])
