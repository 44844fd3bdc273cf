"""Every route there is, walked from the URL resolver: who is not signed in learns nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.many_cases import each

OPEN = ("/sign-in/", "/sign-out/", "/language/")  # what a stranger is there for
FILLED = {"experiment_id": "abcd1234", "number": "0", "pk": "1", "kind": "history", "rest": "x"}


def routes(
    resolver: URLResolver, before: str = "/", filled: dict[str, str] = FILLED
) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, path, filled)
        else:
            assert isinstance(pattern, URLPattern)
            path = re.sub(r"<(?:\w+:)?(\w+)>", lambda m: filled.get(m[1], "x"), path)
            yield re.sub(r"\^|\$|\(\?P.*\)", "", path)


ROUTES = sorted(set(routes(get_resolver())))


def test_there_are_routes_to_walk() -> None:
    assert len(ROUTES) > 25
    assert "/api/v1/experiments/abcd1234/trials/0/log/" in ROUTES


@each("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", [path for path in ROUTES if not path.startswith(OPEN)])
def test_a_stranger_gets_nowhere(db: None, path: str, method: str) -> None:
    answer: Any = Client().generic(method, path)
    if path.startswith("/api/v1/") or path == "/api/schema/":
        assert answer.status_code == 401
    else:
        assert answer.status_code == 302
        assert answer["Location"].startswith("/sign-in/?next=/")


@pytest.mark.parametrize("path", ["/", "/sign-in/", "/api/v1/experiments/", "/api/schema/"])
def test_a_foreign_host_name_is_refused(db: None, path: str) -> None:
    answer = Client().get(path, headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert b"evil.example" not in answer.content


def test_a_forwarded_host_name_counts_for_nothing(client: Client) -> None:
    answer = client.get("/", headers={"x-forwarded-host": "evil.example"})
    assert answer.status_code == 200
    assert b"evil.example" not in answer.content
