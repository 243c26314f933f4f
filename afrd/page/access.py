"""Who can reach the page, and what it therefore offers."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
PASSWORD = "AFRD_PASSWORD"  # the environment variable
TRAINING_OFF = (
    "Training is off: this page can be reached from other machines, and a training reads any folder and any weights "
    "file of this one. To train, start the page on your own machine (afrd app), or with --train and --auth USER:FILE."
)


@dataclass(frozen=True)
class Access:
    """Who can reach the page.

    Args:
        host: the address to listen on; "0.0.0.0": all interfaces.
        share: also reachable by a public link.
        auth: the name and the password that the page asks for.
        training: whether there is a form to train in; by default where only this machine reaches the page.
        train_tab: whether there is a Train tab; without a form, it says why there is none.

    Raises:
        ValueError: training is asked for on a page that others reach without a password.
    """

    host: str = LOOPBACK
    share: bool = False
    auth: tuple[str, str] | None = None
    training: bool = True
    train_tab: bool = True

    def __post_init__(self) -> None:
        if self.training and not self.local and self.auth is None:
            raise ValueError(
                "--train on a page that other machines reach needs a password: add --auth USER:FILE, "
                "or leave --share and --host out"
            )

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the page."""
        return not self.share and is_loopback(self.host)

    @property
    def open(self) -> bool:
        """Whether everybody who reaches the page over a network may use it."""
        return not self.local and self.auth is None


def access(host: str, share: bool, auth: tuple[str, str] | None, train: bool | None) -> Access:
    """What the command line's options come to; `train` is None where neither --train nor --no-train was given.

    Raises:
        ValueError: training is asked for on a page that others reach without a password.
    """
    local = Access(host, share, training=False).local
    return Access(host, share, auth, training=local if train is None else train, train_tab=train is not False)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, which may lead anywhere
        return False


def read_auth(text: str) -> tuple[str, str]:
    """Name and password from `USER:FILE`, or from `USER` with the password in the environment.

    Raises:
        ValueError: there is no name or no password, in one sentence.
    """
    user, _, file = text.partition(":")
    if not user:
        raise ValueError(f"--auth {text!r} names no user; write --auth USER:FILE, with the password in FILE")
    if not file:
        if password := os.environ.get(PASSWORD):
            return user, password
        raise ValueError(f"--auth {user} has no password; write --auth {user}:FILE or set {PASSWORD}")
    try:
        password = Path(file).expanduser().read_text("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"--auth: {file} is not a text file in UTF-8; write the password into it") from None
    except OSError as error:
        raise ValueError(
            f"--auth: the password file {file} cannot be read ({error.strerror}); name a file with the password"
        ) from None
    if not password or "\n" in password:
        raise ValueError(f"--auth: the password file {file} must hold one line, the password")
    return user, password
