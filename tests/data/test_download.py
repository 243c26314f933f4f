"""Eyecandies by its published ids, from a server of this machine."""

import hashlib
import io
import re
import tarfile
import threading
from collections import namedtuple
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import afrd
from afrd.cli.commands import main
from afrd.data import download

pytest.importorskip("gdown")


class Server(ThreadingHTTPServer):
    files: dict[str, bytes]
    asked: list[str]  # the Range header of every request
    cut: int  # bytes after which one connection breaks; 0: none


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range", "")
        self.server.asked.append(asked)
        start = int(found[1]) if (found := re.fullmatch(r"bytes=([0-9]+)-", asked)) else 0
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end, self.server.cut = self.server.cut or len(content), 0
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.asked, server.cut = {}, [], 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def archive_of(server: Server, members: dict[str, bytes], **changes: object) -> download.Archive:
    """Puts a tar of these files on the server."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    content = stream.getvalue()
    server.files["/CandyCane.tar"] = content
    facts = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} | changes
    return download.Archive("CandyCane", "id", **facts)  # type: ignore[arg-type]


def pictures(prefix: str = "CandyCane") -> dict[str, bytes]:
    """Two samples of noise, which no archive makes smaller."""
    members = {}
    for index in range(2):
        for light in range(6):
            stream = io.BytesIO()
            noise = np.random.default_rng(10 * index + light).integers(0, 255, (160, 160, 3))
            Image.fromarray(noise.astype(np.uint8)).save(stream, "png")
            members[f"{prefix}/train/data/{index}_image_{light}.png"] = stream.getvalue()
    return members


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{{category}}.tar"


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


@pytest.mark.parametrize("prefix", ["CandyCane", "Eyecandies/CandyCane", "."])
def test_a_category_is_fetched_checked_and_unpacked(server: Server, tmp_path: Path, prefix: str):
    archive = archive_of(server, pictures(prefix))
    folder = download.fetch(archive, tmp_path / "new", address(server))
    assert folder == tmp_path / "new" / "CandyCane" and left(tmp_path / "new") == ["CandyCane"]
    assert len(afrd.open_dataset(tmp_path / "new", "CandyCane")["train"]) == 2
    assert len(server.asked) == 1
    assert download.fetch(archive, tmp_path / "new", address(server)) == folder
    assert len(server.asked) == 1  # it is there, so nobody asks again


def test_a_download_that_broke_goes_on_where_it_stopped(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    archive = archive_of(server, pictures())
    monkeypatch.setattr(download, "DOWNLOAD_RETRIES", 0)
    server.cut = 700_000
    with pytest.raises(RuntimeError, match=r"CandyCane could not be downloaded .*the same command continues"):
        download.fetch(archive, tmp_path, address(server))
    assert not (tmp_path / "CandyCane").exists()
    download.fetch(archive, tmp_path, address(server))
    assert re.fullmatch(r"bytes=[1-9][0-9]+-", server.asked[-1])  # the rest alone
    assert left(tmp_path) == ["CandyCane"]


def test_another_file_than_the_published_one_is_deleted(server: Server, tmp_path: Path):
    archive = archive_of(server, pictures(), sha256="0" * 64)
    with pytest.raises(ValueError, match=r"is not the published archive.*starts anew"):
        download.fetch(archive, tmp_path, address(server))
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["../outside.png", "CandyCane/../../outside.png"])
def test_no_path_of_an_archive_leaves_its_folder(server: Server, tmp_path: Path, name: str):
    archive = archive_of(server, {**pictures(), name: b"x"})
    with pytest.raises(ValueError, match="cannot be unpacked"):
        download.fetch(archive, tmp_path / "root", address(server))
    assert not (tmp_path / "outside.png").exists() and left(tmp_path / "root") == ["CandyCane.tar"]


def test_an_absolute_path_lands_inside_the_folder_or_nowhere(server: Server, tmp_path: Path):
    outside = tmp_path / "outside.png"
    archive = archive_of(server, {**pictures(), str(outside): b"x"})
    download.fetch(archive, tmp_path / "root", address(server))
    assert not outside.exists() and left(tmp_path / "root") == ["CandyCane"]


def test_an_archive_without_a_category_is_refused(server: Server, tmp_path: Path):
    archive = archive_of(server, {"readme.txt": b"x"})
    with pytest.raises(ValueError, match="holds no category"):
        download.fetch(archive, tmp_path, address(server))


def test_too_small_a_disk_is_said_before_anything_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    archive = archive_of(server, pictures())
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage(0, 0, archive.size))
    with pytest.raises(OSError, match=r"has 0\.0 GB free, but 1 categories need"):
        download.fetch(archive, tmp_path, address(server))
    assert server.asked == []


def test_the_facts_name_ten_categories_of_27_gigabytes():
    archives = download.eyecandies_archives()
    assert len({archive.id for archive in archives}) == 10 and len({archive.sha256 for archive in archives}) == 10
    assert sum(archive.size for archive in archives) == pytest.approx(27e9, rel=0.02)
    assert all(re.fullmatch("[0-9a-f]{64}", archive.sha256) for archive in archives)
    assert archives[0].address() == f"https://drive.google.com/uc?id={archives[0].id}"


def test_the_command_fetches_chosen_categories_and_names_unknown_ones(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    archive = archive_of(server, pictures())
    monkeypatch.setattr(download, "eyecandies_archives", lambda wanted: [archive])
    command = ["download", "eyecandies", "--category", "CandyCane", "--out", str(tmp_path), "--from", address(server)]
    assert main([*command, "--keep"]) == 0 and capsys.readouterr().out == f"{tmp_path / 'CandyCane'}\n"
    assert left(tmp_path) == ["CandyCane", "CandyCane.tar"]
    assert main(command) == 0 and "there already" in capsys.readouterr().out
    monkeypatch.undo()
    assert main(["download", "eyecandies", "--category", "Gummy", "--out", str(tmp_path)]) == 2
    assert "Eyecandies has no category 'Gummy'; choose from CandyCane, " in capsys.readouterr().err


def test_a_server_that_has_no_such_file_is_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = archive_of(server, pictures())
    server.files.clear()
    monkeypatch.setattr(download, "DOWNLOAD_RETRIES", 0)
    with pytest.raises((RuntimeError, ValueError), match=r"CandyCane"):
        download.fetch(archive, tmp_path, address(server))
    assert not (tmp_path / "CandyCane").exists()
