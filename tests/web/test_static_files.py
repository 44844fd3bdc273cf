"""Scripts, styles and pictures: served ahead of Django, and a page's scripts asked for at once."""

from __future__ import annotations

import asyncio
import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from experiments.access.security import POLICY
from experiments.embedded.static_files import StaticFiles
from experiments.web.modules import modules

SCRIPTS = Path(settings.BASE_DIR) / "static"
PAGES = re.compile(r'{% modules "(.+?)" %}')


async def passed_on(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"Django"})


FILES = StaticFiles(passed_on)


def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path,
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }  # fmt: skip
    asyncio.run(FILES(scope, None, send))  # type: ignore[arg-type]
    start, body = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], found, body["body"]


def test_a_file_comes_with_what_every_answer_has() -> None:
    status, headers, body = ask("/static/js/dom.js")
    assert status == 200
    assert body == (SCRIPTS / "js/dom.js").read_bytes()
    assert int(headers["content-length"]) == len(body)
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["content-type"].startswith("text/javascript")


def test_it_has_the_headers_that_django_would_give_it(client: Client) -> None:
    theirs = client.get("/static/js/dom.js")
    _, ours, _ = ask("/static/js/dom.js")
    assert ours == {name.lower(): value for name, value in theirs.headers.items()}
    theirs.close()


def test_unchanged_packed_and_in_part() -> None:
    _, headers, _ = ask("/static/js/dom.js")
    status, _, body = ask("/static/js/dom.js", if_none_match=headers["etag"])
    assert (status, body) == (304, b"")
    status, _, body = ask("/static/js/dom.js", range="bytes=0-9")
    assert (status, len(body)) == (206, 10)
    _, headers, packed = ask("/static/vendor/plotly/plotly.parts.js", accept_encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert b"PlotlyParts" in gzip.decompress(packed)
    status, headers, body = ask("/static/js/dom.js", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    "path", ["/static/js/none.js", "/static/../manage.py", "/static/", "/experiments/", "/"]
)
def test_what_is_no_file_is_left_to_django(path: str) -> None:
    assert ask(path)[0] == 299


def test_who_develops_gets_files_from_django(settings: Any) -> None:
    settings.DEBUG = True
    assert ask("/static/js/dom.js")[0] == 299


# ---- modules


def test_a_page_names_every_module_that_its_script_comes_to() -> None:
    for template in Path(settings.BASE_DIR).glob("templates/**/*.html"):
        for name in PAGES.findall(template.read_text()):
            found = modules(name)
            assert len(set(found)) == len(found)
            for module in [name, *found]:
                text = (SCRIPTS / module).read_text()
                wanted = re.findall(r'(?:from|import) "(\.{1,2}/[^"]+)"', text)
                folder = (SCRIPTS / module).parent
                paths = {
                    (folder / path).resolve().relative_to(SCRIPTS).as_posix() for path in wanted
                }
                assert paths <= set(found), f"{template}: {module}"


def test_every_page_with_a_script_of_many_modules_asks_for_them_at_once() -> None:
    scripts = re.compile(r"<script type=\"module\" src=\"{% static '(js/[^']+)' %}\"")
    for template in Path(settings.BASE_DIR).glob("templates/experiments/*.html"):
        text = template.read_text()
        named = set(PAGES.findall(text))
        wanted = {name for name in scripts.findall(text) if len(modules(name)) > 4}
        assert wanted <= named, template


def test_the_overviews_charts_are_asked_for_with_the_page_unless_something_else_is_meant(
    client: Client, make_experiment: Any
) -> None:
    experiment = make_experiment()
    page = f"/experiments/{experiment.pk}/"
    asked = re.compile(rf'href="/api/v1/experiments/{experiment.pk}/charts/(\w+)/"')
    found = asked.findall(client.get(page).content.decode())
    assert found == ["history", "curves", "parcoords", "duration"]
    assert not asked.findall(client.get(page + "?where=lr<1").content.decode())
