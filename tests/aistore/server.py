"""AIStore as its client knows it: a real HTTP server with its routes, texts and refusals.

Written from the protocol's description, with the exact error texts. It keeps what it is
sent, counts requests, and can be told to fail.
"""

from __future__ import annotations

import email
import email.message
import itertools
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
OTHER_KEY = "11111111-2222-3333-4444-555555555555"
STORAGE = {"Folder": 0, "Shortcut": 0, "Run": 2, "Artifact": 2, "AutoTune": 2}


class Refuse(Exception):
    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text


class FakeAIStore:
    """State of the server. ``prefix`` is the path of its base address."""

    prefix = "/t9k/aistore/server"

    def __init__(self) -> None:
        self.keys = {KEY: "alice", OTHER_KEY: "bob"}
        self.nodes: dict[str, dict[str, Any]] = {}  # path -> node
        self.objects: dict[str, bytes] = {}  # node path/key -> content
        self.parts: dict[str, dict[int, bytes]] = {}
        self.requests: list[tuple[str, str]] = []  # method, path
        self.raw: list[bytes] = []  # bodies of uploads, as they came
        self.tells_path = True  # does info answer a path?
        self.read_only: set[str] = set()  # paths that may not be written below
        self.fail: Callable[[str, str], Refuse | float | str | None] = lambda method, path: None
        self._ids = itertools.count(1)
        self._lock = threading.RLock()
        for path in ("/alice", "/bob"):
            self.add(path)

    def add(self, path: str, type: str = "Folder", **fields: Any) -> str:
        node_id = f"{next(self._ids):08x}-0000-4000-8000-000000000000"
        name = path.rpartition("/")[2]
        node = {"id": node_id, "name": name, "type": type, "labels": [], "description": ""}
        self.nodes[path] = {**node, "extra": "{}", **fields}
        return node_id

    def path_of(self, word: str) -> str:
        """Path of a node given by path or id."""
        if word in self.nodes:
            return word
        for path, node in self.nodes.items():
            if node["id"] == word:
                return path
        raise Refuse(404, f"node not found [{word}]")

    def move(self, old: str, new: str) -> None:
        for path in [p for p in self.nodes if p == old or p.startswith(old + "/")]:
            self.nodes[new + path[len(old) :]] = self.nodes.pop(path)
        self.nodes[new]["name"] = new.rpartition("/")[2]

    def below(self, parent: str) -> dict[str, dict[str, Any]]:
        return {p: n for p, n in self.nodes.items() if p.rpartition("/")[0] == parent}

    def objects_of(self, path: str) -> dict[str, bytes]:
        return {k[len(path) + 1 :]: v for k, v in self.objects.items() if k.startswith(path + "/")}

    def count(self, method: str, path: str) -> int:
        return self.requests.count((method, path))

    # ---- routes

    def answer(self, method: str, route: str, query: dict[str, str], body: bytes, kind: str) -> Any:
        with self._lock:
            user = self._user(query)
            if route == "/oauth2/userinfo" and method == "GET":
                return {"preferred_username": user}
            if route == "/apis/v1/nodes":
                return self._nodes(method, query, body, user)
            if route == "/apis/v1/nodes/info" and method == "GET":
                path = self.path_of(query["node"])
                self._may_see(path, user)
                node = dict(self.nodes[path])
                return node | ({"path": path} if self.tells_path else {})
            if route == "/apis/v1/objects" and method == "POST":
                path = self._object_path(query, user)
                self.raw.append(body)
                self.objects[path] = content_of(kind, body)
                return {}
            if route.startswith("/apis/v1/objects/multipart"):
                return self._multipart(method, route, query, body, kind, user)
        raise Refuse(404, "")

    def _user(self, query: dict[str, str]) -> str:
        key = query.get("apikey", "")
        if not key:
            raise Refuse(400, "query is needed: apikey")
        if key not in self.keys:
            raise Refuse(400, f"api key {key} not found\n")
        return self.keys[key]

    def _may_see(self, path: str, user: str) -> None:
        if path.split("/")[1] != user:
            raise Refuse(403, "permission denied")

    def _may_write(self, path: str, user: str) -> None:
        self._may_see(path, user)
        if any(path == p or path.startswith(p + "/") for p in self.read_only):
            raise Refuse(403, "permission denied")

    def _nodes(self, method: str, query: dict[str, str], body: bytes, user: str) -> Any:
        if method == "GET":
            path = self.path_of(query["parent"])
            self._may_see(path, user)
            kind = query.get("type")
            rows = [n for n in self.below(path).values() if kind in (None, n["type"])]
            size, page = int(query.get("size", 100)), int(query.get("page", 1))
            shown = rows[(page - 1) * size : page * size]
            return {"data": shown or None, "pagination": {"size": size, "total": len(rows)}}
        fields = json.loads(body)
        if method == "POST":
            return {"id": self._create(fields, user)}
        if method == "PUT":
            path = self.path_of(fields.pop("node"))
            self._may_write(path, user)
            self.nodes[path].update(fields)
            return {}
        raise Refuse(404, "")

    def _create(self, fields: dict[str, Any], user: str) -> str:
        expected = {"parent", "name", "labels", "description", "type", "storageType", "extra"}
        if set(fields) != expected:
            raise Refuse(400, f"fields {sorted(set(fields) ^ expected)}")
        if fields["storageType"] != STORAGE[fields["type"]] or not isinstance(fields["extra"], str):
            raise Refuse(400, "storageType or extra")
        try:
            parent = self.path_of(fields["parent"])
        except Refuse:
            raise Refuse(404, f"node not found [{fields['parent']}]") from None
        self._may_write(parent, user)
        path = f"{parent}/{fields['name']}"
        if path in self.nodes:
            raise Refuse(400, f"Invalid conflicting node Name [{fields['name']}]")
        kept = {k: fields[k] for k in ("labels", "description", "extra", "storageType")}
        return self.add(path, fields["type"], **kept)

    def _object_path(self, query: dict[str, str], user: str) -> str:
        wanted = query["path"]
        if not wanted.startswith("/"):  # <id of the parent>/<node>/<key>: the client knew no path
            head, _, rest = wanted.partition("/")
            wanted = f"{self.path_of(head)}/{rest}"
        nodes = [p for p, n in self.nodes.items() if n["type"] != "Folder"]
        owner = next((p for p in nodes if wanted.startswith(p + "/")), None)
        if owner is None:
            raise Refuse(404, f"node not found [{wanted}]")
        self._may_write(owner, user)
        return wanted

    def _multipart(
        self, method: str, route: str, query: dict[str, str], body: bytes, kind: str, user: str
    ) -> Any:
        path = self._object_path(query, user)
        upload_id = route.removeprefix("/apis/v1/objects/multipart").strip("/")
        if method == "POST" and not upload_id:
            upload_id = f"u{next(self._ids)}"
            self.parts[upload_id] = {}
            return {"uploadId": upload_id}
        parts = self.parts[upload_id]
        if method == "PUT":
            number = int(query["partNumber"])
            parts[number] = content_of(kind, body)
            return {"eTag": f"e{number}"}
        listed = json.loads(body)["parts"]
        if listed != [{"etag": f"e{n}", "partNumber": n} for n in sorted(parts)]:
            raise Refuse(400, "parts")
        self.objects[path] = b"".join(parts[n] for n in sorted(parts))
        return {}


def content_of(kind: str, body: bytes) -> bytes:
    """The one part ``content`` of a multipart/form-data body: named, with filename, untyped."""
    form = email.message.Message()
    form["Content-Type"] = kind
    mark = b"--" + str(form.get_param("boundary")).encode()
    head, _, rest = body.partition(b"\r\n\r\n")
    end = rest.find(b"\r\n" + mark)
    first, *lines = head.split(b"\r\n")
    if first != mark or rest[end + 2 :].strip() != mark + b"--":
        raise Refuse(400, "must be one part of multipart/form-data")
    part = email.message_from_bytes(b"\r\n".join(lines))
    told = dict(part.get_params(header="Content-Disposition") or [])
    if told.get("name") != "content" or not told.get("filename") or "Content-Type" in part:
        raise Refuse(400, "the part must be named content, with a filename and without a type")
    return rest[:end]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms
    store: FakeAIStore

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = parts.path.removeprefix(self.store.prefix)
        self.store.requests.append((self.command, route))
        query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        headers: dict[str, str] = {}
        try:
            told = self.store.fail(self.command, route)
            if isinstance(told, Refuse):
                raise told
            if isinstance(told, float):
                time.sleep(told)
            if told == "drop":
                self.close_connection = True
                return
            if told == "redirect":
                status, text, headers = 302, "", {"Location": "http://127.0.0.1:1/elsewhere"}
            elif told == "html":
                status, text = 200, "<html>Please sign in</html>"
            elif not parts.path.startswith(self.store.prefix):
                raise Refuse(404, "")
            else:
                kind = self.headers.get("Content-Type", "")
                status = 200
                text = json.dumps(self.store.answer(self.command, route, query, body, kind))
        except Refuse as refusal:
            status, text = refusal.status, refusal.text
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(raw)
        except OSError:
            self.close_connection = True  # the client did not wait

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, *args: Any) -> None:
        pass


def serve(store: FakeAIStore) -> tuple[ThreadingHTTPServer, str]:
    """Start serving on a free port; returns the server and AISTORE_HOST for it."""
    handler = type("Handler", (_Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}{store.prefix}"
