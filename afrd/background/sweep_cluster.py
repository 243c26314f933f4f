"""Calls executed by the workers of a Dask scheduler; a worker that dies loses only its current call.

with connected("tcp://10.0.0.5:8786") as client:
    for name, result in results_of(client, function, {"one": (1,), "two": (2,)}):
        ...
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

CONNECT_SECONDS = 10


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A `distributed.Client` of the scheduler.

    Raises:
        ValueError: none answers at this address.
        ModuleNotFoundError: Dask is not installed.
    """
    try:
        from distributed import Client  # an extra of its own: dask[distributed]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a cluster needs Dask; install it by `pip install afrd[cluster]`") from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"no Dask scheduler answers at {address} ({error}); give the address that `dask scheduler` prints, such as "
            "tcp://10.0.0.5:8786"
        ) from error
    for name in ("distributed", "distributed.client", "distributed.utils"):  # they log tracebacks of a lost connection
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with client:
        yield client


def results_of(
    client: Any, function: Callable[..., Any], arguments: Mapping[str, tuple[Any, ...]]
) -> Iterator[tuple[str, Any]]:
    """The name and the result of each call, in order of completion.

    Instead of a result comes the exception of a call that raised one, or that ended its worker again and again.

    Raises:
        ConnectionError: the scheduler ended, or can no longer be reached.
    """
    from distributed import as_completed

    futures = {
        client.submit(function, *values, key=f"{name}-{uuid4().hex}", pure=False): name
        for name, values in arguments.items()
    }
    for future in as_completed(list(futures)):
        if future.status not in ("finished", "error"):
            raise ConnectionError(
                "the Dask scheduler can no longer be reached; the same command continues from what is done when it, or "
                "another one, runs"
            )
        yield futures[future], future.result() if future.status == "finished" else future.exception()
