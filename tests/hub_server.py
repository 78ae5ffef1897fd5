"""A hub on loopback: as much of its file API as fetching a repository takes, with faults on request."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "c0ffee" * 6 + "c0ff"


class Hub(ThreadingHTTPServer):
    """Serves the files of one repository, `repo`, a model's or a dataset's (`kind`).

    `absent` are listed and not there, `cut` end in the middle.
    """

    daemon_threads = True

    def __init__(self, repo: str, folder: Path, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo = repo
        self.kind = kind
        self.files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        self.absent: set[str] = set()
        self.cut: set[str] = set()
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Silence."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.asked.append(path)
        place = hub.repo if hub.kind == "model" else f"{hub.kind}s/{hub.repo}"
        api, files = f"/api/{hub.kind}s/{hub.repo}", f"/{place}/resolve/{COMMIT}/"
        if path.startswith(f"{api}/tree/"):
            listing = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40}
                for name, file in hub.files.items()
            ]
            self._send(200, json.dumps(listing).encode(), {"Content-Type": "application/json"}, with_body=with_body)
        elif path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            facts = {
                "id": hub.repo,
                "sha": COMMIT,
                "private": False,
                "siblings": [{"rfilename": name, "size": file.stat().st_size} for name, file in hub.files.items()],
            }
            self._send(200, json.dumps(facts).encode(), {"Content-Type": "application/json"}, with_body=with_body)
        elif path.startswith(f"{api}/revision/"):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, with_body=with_body)
        elif path.startswith(files) and path.removeprefix(files) in hub.files.keys() - hub.absent:
            name = path.removeprefix(files)
            content = hub.files[name].read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, content, headers, with_body=with_body, cut=name in hub.cut)
        else:
            code = "EntryNotFound" if path.startswith(files) else "RepoNotFound"
            self._send(404, b"{}", {"X-Error-Code": code}, with_body=with_body)

    def _send(
        self, status: int, content: bytes, headers: dict[str, str], *, with_body: bool, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True


def hub_environment(endpoint: str, cache: Path) -> dict[str, str]:
    """The environment of a process that asks the hub at `endpoint`, with an empty cache and short waits."""
    names = [name for name in os.environ if name.startswith(("PYTEST", "HF_"))]
    return {name: value for name, value in os.environ.items() if name not in names} | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache),
        "HF_HUB_DOWNLOAD_TIMEOUT": "2",
        "HF_HUB_ETAG_TIMEOUT": "2",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


@contextlib.contextmanager
def serving(repo: str, folder: Path, kind: str = "model") -> Iterator[Hub]:
    """A hub that has the files of `folder` as `repo`, until the block ends."""
    hub = Hub(repo, folder, kind)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
