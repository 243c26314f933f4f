"""Who may do what in a page that others can reach."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from afrd.cli.app import main
from afrd.page.access import Access, read_auth
from afrd.page.tabs import build
from tests.page.helpers import app_command, serving


def labels_of_tabs(page) -> list[str]:
    return [part["props"]["label"] for part in page.config["components"] if part["type"] == "tabitem"]


def test_the_train_tab_is_there_unless_it_is_left_out(tmp_path: Path):
    assert "Train" not in labels_of_tabs(build(tmp_path, None, access=Access(training=False, train_tab=False)))
    assert "Train" in labels_of_tabs(build(tmp_path, None))


@pytest.mark.parametrize(
    ("environment", "options", "expected"),
    [
        ({}, [], ("127.0.0.1", 7860, True)),
        ({"GRADIO_SERVER_PORT": "7001"}, [], ("127.0.0.1", 7860, True)),
        ({}, ["--no-train", "--port", "9000"], ("127.0.0.1", 9000, False)),
        ({"SPACE_ID": "someone/afrd"}, [], ("0.0.0.0", 7860, False)),
        ({"SPACE_ID": "someone/afrd", "GRADIO_SERVER_PORT": "7001"}, [], ("0.0.0.0", 7001, False)),
        ({"SPACE_ID": "someone/afrd"}, ["--train", "--auth", "me", "--port", "9000"], ("0.0.0.0", 9000, True)),
        ({}, ["--share"], ("127.0.0.1", 7860, False)),
        ({}, ["--share", "--auth", "me"], ("127.0.0.1", 7860, False)),
        ({}, ["--share", "--train", "--auth", "me"], ("127.0.0.1", 7860, True)),
        ({}, ["--host", "0.0.0.0"], ("0.0.0.0", 7860, False)),
        ({}, ["--host", "localhost"], ("localhost", 7860, True)),
        ({}, ["--host", "::1"], ("::1", 7860, True)),
    ],
)
def test_training_is_off_where_others_reach_the_page_unless_asked_for_with_a_password(
    environment: dict, options: list, expected: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("SPACE_ID", "GRADIO_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AFRD_PASSWORD", "secret")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told: list[tuple] = []

    def launch(runs, data, preparation, port, access):
        told.append((access.host, port, access.training))
        raise OSError("not in a test")

    monkeypatch.setattr("afrd.cli.app.launch", launch)
    assert main(["--runs", str(tmp_path), *options]) == 1
    assert told == [expected]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--share", "--train"], "needs a password: add --auth USER:FILE"),
        (["--host", "0.0.0.0", "--train"], "needs a password: add --auth USER:FILE"),
        (["--host", "my.example", "--train"], "needs a password: add --auth USER:FILE"),
        (["--auth", "me"], "--auth me has no password; write --auth me:FILE or set AFRD_PASSWORD"),
        (["--auth", ":{file}"], "names no user"),
        (["--auth", "me:{missing}"], "cannot be read (No such file or directory)"),
        (["--auth", "me:{empty}"], "must hold one line, the password"),
    ],
)
def test_a_page_that_would_let_strangers_train_does_not_start(
    options: list, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    for name in ("SPACE_ID", "AFRD_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    files = {"file": tmp_path / "password", "missing": tmp_path / "missing", "empty": tmp_path / "empty"}
    files["file"].write_text("secret\n")
    files["empty"].write_text("\n")
    with pytest.raises(SystemExit) as stop:
        main(["--runs", str(tmp_path), *(option.format(**files) for option in options)])
    assert stop.value.code == 2 and sentence in capsys.readouterr().err


def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "password").write_text("a:b c\n")
    assert read_auth(f"me:{tmp_path / 'password'}") == ("me", "a:b c")
    monkeypatch.setenv("AFRD_PASSWORD", "from the environment")
    assert read_auth("me") == ("me", "from the environment")


def test_a_page_that_others_reach_reads_no_folder_and_no_weights_file_and_its_train_tab_says_why(tmp_path: Path):
    page = build(tmp_path, None, access=Access(share=True, training=False))
    parts = {part["props"].get("elem_id"): part["props"] for part in page.config["components"]}
    assert "Train" in labels_of_tabs(page) and "Training is off: this page" in parts["train-off"]["value"]
    assert not {"train-root", "train-weights", "train-start"} & set(parts)
    events = {d["api_name"] for d in page.config["dependencies"]}
    assert {name for name in events if "train" in name} == {"note_tab_train"}  # the address names the open tab


def test_a_page_open_to_others_says_so_at_the_start_and_one_with_a_password_asks_for_it(tmp_path: Path):
    password = tmp_path / "password"
    password.write_text("secret")
    sentence = "The page is open: whoever reaches it can use it"
    for options, is_open in (([], True), (["--auth", f"me:{password}"], False)):
        output = tmp_path / "output"
        with serving(app_command(tmp_path, tmp_path, "--host", "0.0.0.0", *options), output) as address:
            try:
                status = urllib.request.urlopen(f"{address}/gradio_api/info").status
            except urllib.error.HTTPError as error:
                status = error.code
            assert status == (200 if is_open else 401)
        assert (sentence in output.read_text()) == is_open
