"""A hub on the loopback interface: the requests that `huggingface_hub` makes, with faults."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

#: Larger files than this are LFS's, whose SHA-256 the hub says.
SMALL = 1024


@dataclass
class HubRepository:
    """A repository.

    Attributes:
        files: Content of every file.
        card: What its card says of the licence.
        gated: Whether its files are refused.
        served: What is sent instead of a file's content, for files that are damaged on the way.
    """

    files: dict[str, bytes]
    card: dict = field(default_factory=lambda: {"license": "mit"})
    gated: bool = False
    served: dict[str, bytes] = field(default_factory=dict)
    commit: str = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """The hub, and what was asked of it.

    Attributes:
        repositories: Repositories by name.
        breaks: How often a file's connection is cut in the middle.
        requests: Method, path and range of every request.
    """

    repositories: dict[str, HubRepository]
    breaks: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def fetched(self, path):
        """The ranges in which a file was asked for."""
        return [given for method, asked, given in self.requests if (method, asked) == ("GET", path)]


@contextmanager
def serving(hub):
    """Serve on a free port."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Say nothing."""

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        path = unquote(urlsplit(self.path).path)
        asked = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        match = asked or file
        repository = self.hub.repositories.get(match[1]) if match else None
        self.hub.requests.append(
            (self.command, file[3] if file else path, self.headers.get("Range"))
        )
        if repository is None:
            return self._fail(401, "RepoNotFound")
        if (match[2] or "main") not in ("main", repository.commit):
            return self._fail(404, "RevisionNotFound")
        if asked:
            return self._send(json.dumps(_info(match[1], repository)).encode(), {}, True)
        if repository.gated:
            return self._fail(403, "GatedRepo")
        if file[3] not in repository.files:
            return self._fail(404, "EntryNotFound", {"X-Repo-Commit": repository.commit})
        return self._send_file(repository, file[3], body)

    def _send_file(self, repository, path, body):
        content = repository.served.get(path, repository.files[path])
        headers = {"ETag": f'"{_tag(repository.files[path])}"', "X-Repo-Commit": repository.commit}
        given = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if given:
            start = int(given[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content = content[start:]
        cut = body and self.hub.breaks.get(path, 0) > 0
        if cut:
            self.hub.breaks[path] -= 1
        self._send(content, headers, body, 206 if given else 200, cut)

    def _send(self, content, headers, body, status=200, cut=False):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    def _fail(self, status, code, headers=None):
        text = b"{}"
        self._send_error(status, {"X-Error-Code": code, **(headers or {})}, text)

    def _send_error(self, status, headers, text):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text)


def _tag(content):
    """How the hub names a file's content: LFS's by SHA-256, small ones as git does."""
    if len(content) > SMALL:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _info(name, repository):
    siblings = []
    for path, content in repository.files.items():
        one = {"rfilename": path, "size": len(content), "blobId": "0" * 40}
        if len(content) > SMALL:
            lfs = {"sha256": _tag(content), "size": len(content), "pointerSize": 134}
            one |= {"lfs": lfs}
        siblings.append(one)
    return {
        "id": name,
        "modelId": name,
        "sha": repository.commit,
        "private": False,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "cardData": repository.card,
        "siblings": siblings,
    }
