"""Priority of events that are answered quickly over long work, so that a busy page still responds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from inspect import isgeneratorfunction
from typing import Any

PATIENCE_SECONDS = 2.0  # that long work waits before each of its parts

_answered = threading.Condition()
_at_work = 0  # events that are being answered


def going_first(handler: Callable) -> Callable:
    """The handler of an event for which `give_way` waits; not for generators, which take long themselves."""
    if isgeneratorfunction(handler):
        return handler

    @wraps(handler)
    def call(*inputs: Any) -> Any:
        global _at_work
        with _answered:
            _at_work += 1
        try:
            return handler(*inputs)
        finally:
            with _answered:
                _at_work -= 1
                _answered.notify_all()

    return call


def give_way() -> None:
    """Waits until no event is being answered, but not forever. To be called by a thread that answers none itself."""
    with _answered:
        _answered.wait_for(lambda: not _at_work, PATIENCE_SECONDS)
