"""Checkpoints of the Hugging Face hub, against a hub on this machine that speaks its protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gennas.checkpoint import Checkpoint
from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.paths import shipped
from gennas.spaces import get_space

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """A hub with one repository: a folder."""

    folder: Path
    asked: list[str]


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path = self.path.partition("?")[0]
        if not path.startswith(("/api/models/me/cells/", "/me/cells/resolve/")):
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/"):
            files = sorted(file for file in self.server.folder.rglob("*") if file.is_file())
            names = [str(file.relative_to(self.server.folder)) for file in files]
            if "/tree/" in path:
                document: object = [
                    {"type": "file", "oid": "0", "path": name, "size": file.stat().st_size}
                    for name, file in zip(names, files, strict=True)
                ]
            else:
                document = {"id": "me/cells", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            self._send(200, json.dumps(document).encode())
        else:
            content = (self.server.folder / path.split("/resolve/")[1].partition("/")[2]).read_bytes()
            self._send(200, content, {"ETag": f'"{sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT})

    def _send(self, code: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    server = Hub(("127.0.0.1", 0), Answer)
    server.folder, server.asked = tmp_path / "hub", []
    Checkpoint(shipped("checkpoints") / "nasbench201").save_pretrained(server.folder)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _url(hub: Hub) -> str:
    return f"http://127.0.0.1:{hub.server_address[1]}"


def test_a_checkpoint_of_the_hub(hub: Hub) -> None:
    (hub.folder / "setup.py").write_text("raise SystemExit")
    found = Checkpoint.from_pretrained("me/cells", COMMIT, download=True, endpoint=_url(hub))
    assert found.fingerprints == Checkpoint("nasbench201").fingerprints
    assert found.space.name == "nasbench201"
    assert found.predictor.metrics == Checkpoint("nasbench201").predictor.metrics
    assert not list(found.folder.rglob("*.py"))  # nothing but what a checkpoint has
    asked = len(hub.asked)
    again = Checkpoint.from_pretrained("me/cells", COMMIT, endpoint=_url(hub))  # from the cache
    assert again.fingerprints == found.fingerprints
    assert len(hub.asked) == asked


def test_nothing_is_downloaded_without_a_word(hub: Hub) -> None:
    with pytest.raises(InvalidInputError, match="needs a `revision`"):
        Checkpoint.from_pretrained("me/cells", download=True, endpoint=_url(hub))
    with pytest.raises(DataMissingError, match="`download`=True"):
        Checkpoint.from_pretrained("me/cells", "main", endpoint=_url(hub))
    assert hub.asked == []


def test_what_a_file_of_the_hub_names_is_not_imported(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "side.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    path = hub.folder / "generator" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"space": "side.py:Mine"}))
    with pytest.raises(UnknownNameError, match="is not the name of a space"):
        Checkpoint.from_pretrained("me/cells", COMMIT, download=True, endpoint=_url(hub))
    assert not (tmp_path / "ran").exists()


def test_what_the_hub_does_not_have(hub: Hub) -> None:
    with pytest.raises(DataMissingError, match="cannot be downloaded"):
        Checkpoint.from_pretrained("me/others", COMMIT, download=True, endpoint=_url(hub))
    with pytest.raises(DataMissingError, match="cannot be reached"):
        Checkpoint.from_pretrained("me/cells", "main", download=True, endpoint="http://127.0.0.1:9")
    with pytest.raises(InvalidInputError, match="darts"):
        Checkpoint.from_pretrained("me/cells", COMMIT, download=True, space=get_space("darts"), endpoint=_url(hub))


def test_a_saved_part_keeps_nothing_of_the_one_it_replaces(tmp_path: Path) -> None:
    source = Checkpoint(Checkpoint("nasbench201").save_pretrained(tmp_path / "source"))
    (source.folder / "predictor" / "metrics.json").unlink()
    target = Checkpoint("nasbench201").save_pretrained(tmp_path / "target")
    source.save_pretrained(target)
    assert not (target / "predictor" / "metrics.json").exists()
    assert (target / "predictor" / "config.json").is_file()


def test_folders_and_names_need_no_hub(tmp_path: Path) -> None:
    folder = Checkpoint("nasbench201").save_pretrained(tmp_path / "mine")
    assert sorted(path.name for path in (folder / "generator").iterdir()) == [
        *("README.md", "config.json", "metrics.json", "model.safetensors")
    ]
    again = Checkpoint.from_pretrained(folder)
    assert again.fingerprints == Checkpoint.from_pretrained("nasbench201").fingerprints
    with pytest.raises(InvalidInputError, match="not of the hub"):
        Checkpoint.from_pretrained(folder, "main")
    with pytest.raises(InvalidInputError, match="itself"):
        again.save_pretrained(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="is a file"):
        again.save_pretrained(tmp_path / "file")
