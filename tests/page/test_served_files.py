"""What the page hands out, and takes: nothing of the machine's files, and nothing that it does not need."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.visitor import Visitor
from tests.page.helpers import ROOT, app_command, serving


@pytest.fixture(scope="module")
def address(tiny_runs: Path, candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    # Gradio writes a traceback into the output for each file that it refuses.
    with serving(app_command(tiny_runs, candies), tmp_path_factory.mktemp("page") / "output") as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


def test_files_of_the_machine_are_not_served(client: httpx.Client, tiny_runs: Path, candies: Path):
    run = tiny_runs / "Praline" / "afrd"
    files = [Path("/etc/passwd"), Path("/proc/self/environ"), ROOT / "app.py", run / "config.json", run / ".." / ".."]
    files += [run / "model.safetensors", next(candies.rglob("*.png"))]
    for file in files:
        for path in (f"file={file}", f"file={str(file).replace('/', '%2f')}", f"file=../..{file}", f"file{file}"):
            assert client.get(f"/gradio_api/{path}").status_code in (403, 404), path
    for folder in ("static", "assets", "svelte"):
        assert client.get(f"/{folder}/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd").status_code in (403, 404)
    for path in ("file=http://127.0.0.1:22/", "proxy=http://127.0.0.1:22/", "proxy=https://example.org/"):
        assert client.get(f"/gradio_api/{path}").status_code in (400, 403, 404)


def test_nothing_for_developers_is_open(client: httpx.Client):
    for path in ("/docs", "/redoc", "/monitoring", "/dev/reload", "/gradio_api/vibe-code", "/gradio_api/mcp/sse"):
        assert client.get(path).status_code in (403, 404), path


def test_uploads_are_limited_keep_no_path_and_are_never_shown_as_a_page(client: httpx.Client, tmp_path: Path):
    name = "../" * 8 + str(tmp_path / "evil.html").lstrip("/")
    uploaded = client.post("/gradio_api/upload", files={"files": (name, b"<script>alert(1)</script>")})
    assert not (tmp_path / "evil.html").exists()
    (path,) = json.loads(uploaded.text)
    answer = client.get(f"/gradio_api/file={path}")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"
    large = client.post("/gradio_api/upload", files={"files": ("large.png", bytes(53_000_000))})
    assert large.status_code == 413
    many = client.post("/gradio_api/upload", files=[("files", (f"{i}.png", b"x")) for i in range(1001)])
    assert many.status_code == 400


@pytest.mark.parametrize("file", ["/etc/passwd", "app.py", "../../../../etc/passwd"])
def test_an_event_that_names_a_file_instead_of_uploading_it_is_refused(address: str, file: str):
    sent = {"path": file, "meta": {"_type": "gradio.FileData"}}
    for event, position in (("bring_pictures", "_1"), ("upload_region", "_1")):
        with pytest.raises(RuntimeError, match=event):
            Visitor(address).send(event, **{position: [sent] if event == "bring_pictures" else sent})


def test_names_that_lead_out_of_a_folder_choose_nothing(address: str):
    visitor = Visitor(address)
    away = "../" * 8 + "etc"
    for query in (f"category={away}", f"sample={away}/passwd", f"run={away}", f"split={away}", f"beside={away}"):
        values = visitor.send("open_link", _0=query, _1=query)[1]
        assert '"panels"' in json.dumps(values).replace("\\", "") and not re.search("root:|daemon", json.dumps(values))
    values = visitor.send("select_sample", {"sample": f"{away}/passwd"})[1]
    assert not re.search("root:|daemon", json.dumps(values))
