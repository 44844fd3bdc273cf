"""Speaks to AIStore's HTTP API: who am I, nodes, objects.

Called by ``uploader``. Pure: no Django, no retries, no logging. The API key travels as a query
parameter, so every failure becomes an ``AIStoreError`` of our own words whose text, cause and
context hold no URL. Redirects are never followed: they would take the key elsewhere.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from experiments.redaction import KEY, KEY_RULE, RedactingFilter, redact

MIB = 1024 * 1024
SINGLE_PART = 100 * MIB  # bytes; above it an object is sent in parts
TIMEOUT_S = (5.0, 30.0)  # to connect, to hear something
UPLOAD_TIMEOUT_S = (5.0, 120.0)
PAGE = 1000  # nodes asked for at once
MOST_FOLDERS = 5000  # looked at when a folder must be found by walking
_SHOWN = 300  # characters of a server's text that an error repeats

# kind of node -> storageType
FOLDER, RUN, AUTOTUNE = "Folder", "Run", "AutoTune"
STORAGE_TYPE = {FOLDER: 0, RUN: 2, AUTOTUNE: 2}

# These log URLs, at DEBUG and now and then at WARNING.
for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(RedactingFilter())


class AIStoreError(Exception):
    """AIStore did not do what was asked; the text is for the user and holds no key."""

    permanent = True  # the same request will fail again until a person changes something
    concerns_all = False  # whatever else is asked will fail too


class Unavailable(AIStoreError):
    """Not now: refused, timed out, 5xx, too many requests."""

    permanent = False

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.concerns_all = not reached  # a 500 may be this request's own fault


class WrongKey(AIStoreError):
    """AIStore does not know the API key."""

    concerns_all = True


class NoRight(AIStoreError):
    """The key's owner may not do this."""

    concerns_all = True


class NotAIStore(AIStoreError):
    """Something answers at the address, but not AIStore."""

    concerns_all = True


class NotFound(AIStoreError):
    """No such node, or no such parent."""


class NameTaken(AIStoreError):
    """The parent has a node of this name already."""


class Rejected(AIStoreError):
    """Any other refusal of what was sent."""


@dataclass(frozen=True)
class Node:
    """One node as ``info`` or a list tells of it; what the server left out is empty."""

    id: str
    type: str = ""
    name: str = ""
    path: str = ""
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NewNode:
    parent: str  # path, or the id of a folder whose path nobody knows
    name: str
    type: str
    labels: Sequence[str] = ()
    description: str = ""
    extra: Mapping[str, Any] | None = None

    @property
    def path(self) -> str:
        return f"{self.parent}/{self.name}"


class AIStore:
    """One account of one AIStore. Not for several threads at once."""

    def __init__(
        self,
        host: str,
        key: str,
        *,
        timeout_s: tuple[float, float] = TIMEOUT_S,
        upload_timeout_s: tuple[float, float] = UPLOAD_TIMEOUT_S,
        single_part: int = SINGLE_PART,
    ) -> None:
        if not KEY.match(key):
            raise WrongKey(f"The API key {KEY_RULE}.")
        self._host = host.rstrip("/")
        self._key = key
        self._timeout_s = timeout_s
        self._upload_timeout_s = upload_timeout_s
        self._single_part = single_part
        self._session = requests.Session()
        self._session.auth = lambda request: request  # else requests looks into ~/.netrc

    def __repr__(self) -> str:
        return f"<AIStore at {self.address}>"

    @property
    def address(self) -> str:
        """Host and port, for messages: a user name or password in the URL is not shown."""
        try:
            parts = urlsplit(self._host)
        except ValueError:
            return "the address in AISTORE_HOST"
        return parts.netloc.rpartition("@")[2] or "the address in AISTORE_HOST"

    def close(self) -> None:
        self._session.close()

    # ---- accounts and nodes

    def user(self) -> str:
        """Name of the key's owner. Raises AIStoreError."""
        name = self._ask("GET", "/oauth2/userinfo").get("preferred_username")
        if not isinstance(name, str) or not name:
            raise NotAIStore(f"{self.address} names no user: is AISTORE_HOST that of AIStore?")
        return name

    def info(self, node: str) -> Node:
        """What there is under a path or an id. Raises NotFound."""
        return _node(self._ask("GET", "/apis/v1/nodes/info", {"node": node}))

    def nodes(self, parent: str, type: str = "") -> Iterator[Node]:
        """Yield the nodes directly below a path, page by page."""
        page = 1
        while True:
            query: dict[str, Any] = {"parent": parent, "size": PAGE, "page": page}
            if type:
                query["type"] = type
            answer = self._ask("GET", "/apis/v1/nodes", query)
            if "data" not in answer or not isinstance(answer.get("pagination"), dict):
                raise NotAIStore(f"{self.address} answers a list of nodes without data.")
            rows = answer["data"]
            if not rows:
                return
            yield from map(_node, rows)
            size, total = (answer["pagination"].get(key) or 0 for key in ("size", "total"))
            if not size or page * size >= total:
                return
            page += 1

    def create(self, new: NewNode) -> str:
        """Make a node; returns its id. Raises NameTaken, NotFound (the parent), NoRight."""
        body = {
            "parent": new.parent,
            "name": new.name,
            "labels": list(new.labels),
            "description": new.description,
            "type": new.type,
            "storageType": STORAGE_TYPE[new.type],
            "extra": json.dumps(dict(new.extra or {})),
        }
        made = self._ask("POST", "/apis/v1/nodes", body=body).get("id")
        if not isinstance(made, str) or not made:
            raise NotAIStore(f"{self.address} made a node without an id.")
        return made

    def update(self, node: str, **fields: Any) -> None:
        """Change ``name``, ``labels`` or ``description`` of a node."""
        self._request("PUT", "/apis/v1/nodes", body={"node": node, **fields})

    def path_of_folder(self, folder_id: str) -> str:
        """Path of a folder given by id; the id itself where no path can be found.

        Raises:
            NotFound: there is no such folder.
            Rejected: it is something else.
        """
        found = self.info(folder_id)
        if found.type and found.type != FOLDER:
            raise Rejected(f"The node '{folder_id}' is of type {found.type}, not Folder.")
        if found.path:
            return found.path
        if folder_id.startswith("/"):
            return folder_id.rstrip("/")  # a path was given for an id
        return self._walk_to(found.id, f"/{self.user()}") or folder_id

    def _walk_to(self, folder_id: str, root: str) -> str:
        """Look for a folder below ``root``, nearest first; "" where it is not there."""
        waiting, n_seen = [root], 0
        while waiting and n_seen < MOST_FOLDERS:
            parent = waiting.pop(0)
            for node in self.nodes(parent, FOLDER):
                path = f"{parent}/{node.name}"
                if node.id == folder_id:
                    return path
                waiting.append(path)
                n_seen += 1
        return ""

    # ---- objects

    def upload(self, node_path: str, key: str, content: bytes) -> None:
        """Store an object of a node; the same key again overwrites it."""
        path = f"{node_path}/{key}"
        filename = key.rpartition("/")[2]
        if len(content) <= self._single_part:
            self._send("POST", "/apis/v1/objects", {"path": path}, filename, content)
            return
        begun = self._ask("POST", "/apis/v1/objects/multipart", {"path": path})
        upload_id = begun.get("uploadId")
        if not isinstance(upload_id, str) or not upload_id:
            raise NotAIStore(f"{self.address} began an upload in parts without an id.")
        route = f"/apis/v1/objects/multipart/{upload_id}"
        size = part_size(len(content))
        parts = []
        for number, start in enumerate(range(0, len(content), size), 1):
            query = {"path": path, "partNumber": number}
            answer = self._send("PUT", route, query, filename, content[start : start + size])
            parts.append({"etag": self._object(answer).get("eTag"), "partNumber": number})
        self._request("POST", route, {"path": path}, body={"parts": parts})

    def _send(
        self, method: str, route: str, query: Mapping[str, Any], filename: str, content: bytes
    ) -> requests.Response:
        return self._request(
            method, route, query, files={"content": (filename, content)},
            timeout_s=self._upload_timeout_s,
        )  # fmt: skip

    # ---- one request

    def _ask(
        self,
        method: str,
        route: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return self._object(self._request(method, route, query, body=body))

    def _object(self, response: requests.Response) -> dict[str, Any]:
        try:
            found = response.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NotAIStore(
                f"{self.address} answers something that is no JSON object: "
                "is AISTORE_HOST the address of AIStore's server?"
            )
        return found

    def _request(
        self,
        method: str,
        route: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        files: Any = None,
        timeout_s: tuple[float, float] | None = None,
    ) -> requests.Response:
        trouble = ""
        try:
            response = self._session.request(
                method,
                self._host + route,
                params={**(query or {}), "apikey": self._key},
                json=body,
                files=files,
                timeout=timeout_s or self._timeout_s,
                allow_redirects=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            trouble = _words(error)
        if trouble:  # raised out here, so that not even __context__ holds the URL
            raise Unavailable(f"AIStore at {self.address} {trouble}", reached=False)
        if not response.ok or response.is_redirect:
            raise self._refusal(response)
        return response

    def _refusal(self, response: requests.Response) -> AIStoreError:
        """The error that a status and its text mean."""
        status, text = response.status_code, response.text.strip()
        shown = redact(text, self._key).splitlines()[0][:_SHOWN] if text else ""
        said = f"AIStore at {self.address} answered {status}" + (f": {shown}" if shown else "")
        if status in (408, 425, 429) or status >= 500:
            return Unavailable(f"{said}.", reached=True)
        if 300 <= status < 400:
            return NotAIStore(
                f"{self.address} answers with a redirect ({status}): AISTORE_HOST must be the "
                "address of AIStore's server itself."
            )
        if status == 401 or (status == 400 and text.startswith(("api key", "query is needed"))):
            return WrongKey(f"AIStore at {self.address} does not know the API key.")
        if status == 403:
            return NoRight(f"{said}. The API key's owner has no right to do this.")
        if status == 404 and "node not found" in text:
            return NotFound(f"{said}.")
        if status == 404:
            return NotAIStore(f"{self.address} has nothing of AIStore at this address (404).")
        if "Invalid conflicting node Name" in text:
            return NameTaken(f"{said}.")
        return Rejected(f"{said}.")


def part_size(size: int) -> int:
    """Bytes of one part of a large object: the root of its size, both in MiB."""
    return max(1, math.isqrt(size // MIB)) * MIB


def _node(row: Any) -> Node:
    if not isinstance(row, dict):
        return Node("")
    extra = row.get("extra")
    if isinstance(extra, str):
        try:
            extra = json.loads(extra)
        except ValueError:
            extra = None
    texts = {name: str(row.get(name) or "") for name in ("id", "type", "name", "path")}
    return Node(**texts, extra=extra if isinstance(extra, dict) else None)


def _words(error: Exception) -> str:
    """What kept a request from being answered, in words that hold nothing of it."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "cannot be reached: connecting timed out."
    if isinstance(error, requests.exceptions.Timeout):
        return "did not answer in time."
    if isinstance(error, requests.exceptions.SSLError):
        return "cannot be trusted: its certificate or TLS is not accepted."
    if isinstance(error, requests.exceptions.ProxyError):
        return "cannot be reached: the proxy refuses."
    if isinstance(error, requests.exceptions.ConnectionError):
        return "cannot be reached: the connection was refused, broke or its name is unknown."
    return f"cannot be asked ({type(error).__name__})."
