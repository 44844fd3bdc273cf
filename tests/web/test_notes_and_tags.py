"""What people write of experiments and trials: notes in Markdown, tags, and the list by tags."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.test import Client

from experiments.models import Experiment, tags
from experiments.models.tags import LONGEST, MOST
from experiments.selectors import markdown
from experiments.selectors.export import export
from experiments.selectors.markdown import rendered
from tests.web.rest import errors, patch, url

EVIL = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> <b onclick=alert(1)>b</b>\n\n"
    "[a](javascript:alert(1)) [b](data:text/html,x) [c](JaVaScRiPt:alert(1)) "
    "[d](&#106;avascript:alert(1)) <javascript:alert(1)>\n\n"
    "![pixel](https://tracker.example/p.png)\n\n<svg><style>@import 'https://x'</style></svg>"
)


# ---- Markdown


def test_markdown_becomes_what_it_says() -> None:
    html = rendered(
        "# Try\nfirst **line**\nsecond\n\n- a\n- b\n\n| x | y |\n|---|---|\n| 1 | ~~2~~ |\n\n"
        "[paper](https://example.org/p 'title')\n\n```py\na < b\n```"
    )
    for part in (
        "<h3>Try</h3>", "<strong>line</strong><br>\nsecond", "<li>a</li>", "<td><s>2</s></td>",
        '<a href="https://example.org/p" title="title" rel="noopener noreferrer nofollow">',
        "<pre><code>a &lt; b\n</code></pre>",
    ):  # fmt: skip
        assert part in html, part


def test_nothing_in_it_runs_or_is_loaded() -> None:
    html = rendered(EVIL)
    allowed = {"p", "a", "br"}
    assert {tag.lower() for tag in re.findall(r"<\s*/?([a-zA-Z]+)", html)} <= allowed
    links = re.findall(r'href="([^"]*)"', html)
    assert links == ["https://tracker.example/p.png"]  # to be clicked, not loaded
    assert not re.search(r"<[^>]*\son\w+=", html)


def test_even_a_reader_that_lets_markup_pass_makes_nothing_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(markdown._read, "render", lambda text: text)
    html = markdown.rendered.__wrapped__(EVIL + "<a href='javascript:alert(1)'>x</a>")
    for word in ("<script", "<img", "<svg", "onclick", "onerror", "javascript:alert(1)'"):
        assert word not in html, word


def test_a_very_long_note_is_plain_text_at_once() -> None:
    began = time.monotonic()
    assert rendered("[" * 100_000).startswith("<pre>[[[")
    assert rendered("<b>" * 10_000).startswith("<pre>&lt;b&gt;")
    assert time.monotonic() - began < 1
    assert rendered(" \n ") == ""


def test_a_few_characters_do_not_make_a_table_of_ten_thousands_of_cells() -> None:
    """Short rows are filled up: this took 9 seconds of a server's."""
    text = "|a" * 100 + "|\n" + "|-" * 100 + "|\n" + "|\n" * 9000
    assert "<td>" not in rendered(text)
    assert "<td>" not in rendered(text.replace("\n", "\r\n"))
    small = "| x | y |\n|---|---|\n" + "| 1 | 2 |\n" * 40 + "\n"
    assert rendered(small + "a line\n" * 2000).count("<td>") == 80


def test_rest_renders_for_a_preview(client: Client, stranger: Client) -> None:
    ask = {"path": "/api/v1/markdown/", "content_type": "application/json"}
    assert client.post(**ask, data='{"text": "**a**"}').json() == {
        "html": "<p><strong>a</strong></p>\n"
    }
    for body, path in (
        ("{}", "text"), ('{"text": 3}', "text"), ('{"text": "a", "html": ""}', "html"),
        (f'{{"text": "{"x" * 100_001}"}}', "text"),
    ):  # fmt: skip
        answer = client.post(**ask, data=body)
        assert answer.status_code == 400
        assert list(errors(answer)) == [path]
    assert stranger.post(**ask, data='{"text": "a"}').status_code == 401


def test_pages_and_report_show_notes_rendered_and_safe(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment(notes=f"**bold** {EVIL}", tags=tags.joined(["a<b>"]))
    make_trial(experiment, notes=f"**bold** {EVIL}")
    for page in (
        client.get(f"/experiments/{experiment.pk}/").content.decode(),
        client.get(f"/experiments/{experiment.pk}/trials/0/").content.decode(),
        client.get("/").content.decode() + "<strong>bold</strong>",
        export(experiment, "html").decode(),
    ):
        assert "<strong>bold</strong>" in page
        assert "<script>alert(1)" not in page
        assert "<img src=x" not in page
        assert "a<b>" not in page.replace("data<b>", "")


# ---- notes of trials


def trial_url(experiment: Experiment, number: int = 0) -> str:
    return f"/api/v1/experiments/{experiment.pk}/trials/{number}/"


def test_a_trial_has_notes(client: Client, make_experiment: Any, make_trial: Any) -> None:
    experiment = make_experiment()
    make_trial(experiment)
    body = {"notes": "odd seed", "expected": {"notes": ""}}
    assert patch(client, trial_url(experiment), body).json()["notes"] == "odd seed"
    event = experiment.events.get(what="details")
    assert (event.trial.number, event.data) == (0, {"changed": ["notes"], "user": "alice"})
    late = patch(client, trial_url(experiment), {"notes": "mine", "expected": {"notes": ""}})
    assert late.status_code == 409
    assert "notes is 'odd seed' by now, not ''" in errors(late)[""]
    assert patch(client, trial_url(experiment), {"notes": "odd seed"}).status_code == 200
    assert experiment.events.filter(what="details").count() == 1  # nothing has changed
    assert client.get(trial_url(experiment)).json()["notes"] == "odd seed"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"notes": 5}, "notes"), ({"notes": "x" * 20_001}, "notes"), ({"notes": None}, "notes"),
        ({"note": "x"}, "note"), ({"notes": "x", "expected": {"name": "y"}}, "expected.name"),
    ],
)  # fmt: skip
def test_bad_notes_of_a_trial_are_refused(
    client: Client, make_experiment: Any, make_trial: Any, body: Any, path: str
) -> None:
    experiment = make_experiment()
    make_trial(experiment)
    answer = patch(client, trial_url(experiment), body)
    assert answer.status_code == 400
    assert list(errors(answer)) == [path]


def test_nobody_else_writes_them(
    client: Client, stranger: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment()
    make_trial(experiment)
    assert patch(stranger, trial_url(experiment), {"notes": "x"}).status_code == 401
    assert patch(client, trial_url(experiment, 9), {"notes": "x"}).status_code == 404


# ---- tags


def test_tags_are_kept_small_once_and_in_order(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    body = {"tags": [" Vision ", "base  line", "vision", "中文"], "expected": {"tags": []}}
    answer = patch(client, url(experiment), body)
    assert answer.json()["tags"] == ["vision", "base line", "中文"]
    late = patch(client, url(experiment), {"tags": [], "expected": {"tags": ["vision"]}})
    assert late.status_code == 409
    seen = {"tags": ["vision", "base line", "中文"]}
    answer = patch(client, url(experiment), {"tags": [], "expected": seen})
    assert answer.json()["tags"] == []
    assert Experiment.objects.get().tags == ""


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        (["a,b"], "tags", "without commas, but got 'a,b'"),
        ([""], "tags", "1 to 40 printable characters"),
        (["x" * (LONGEST + 1)], "tags", "1 to 40 printable characters"),
        (["a\u200bb"], "tags", "printable"),
        ([f"t{i}" for i in range(MOST + 1)], "tags", "at most 20"),
        ("vision", "tags", ""),
        ([3], "tags[0]", "Must be text"),
    ],
)
def test_bad_tags_are_refused_whole(
    client: Client, make_experiment: Any, given: Any, path: str, words: str
) -> None:
    experiment = make_experiment()
    answer = patch(client, url(experiment), {"tags": given, "notes": "not written"})
    assert answer.status_code == 400, answer.content
    assert list(errors(answer)) == [path]
    assert words in errors(answer)[path]
    experiment.refresh_from_db()
    assert (experiment.tags, experiment.notes) == ("", "")


@pytest.fixture
def tagged(make_experiment: Any) -> dict[str, str]:
    """Ids by name of three experiments; tags that begin alike, and one with a LIKE's signs."""
    return {
        name: make_experiment(name=name, tags=tags.joined(given)).pk
        for name, given in (
            ("one", ["vision", "a%b"]), ("two", ["vision-2", "vision"]), ("three", ["visio"])
        )
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["vision"], {"one", "two"}), (["VISION"], {"one", "two"}), (["visio"], {"three"}),
        (["vision", "vision-2"], {"two"}), (["a%b"], {"one"}), (["%"], set()), (["nobody"], set()),
    ],
)  # fmt: skip
def test_the_list_is_filtered_by_whole_tags(
    client: Client, tagged: dict[str, str], asked: list[str], found: set[str]
) -> None:
    rest = client.get("/api/v1/experiments/", {"tag": asked}).json()["results"]
    assert {row["name"] for row in rest} == found
    joined = client.get("/api/v1/experiments/", {"tag": ",".join(asked)}).json()["results"]
    assert {row["name"] for row in joined} == found
    page = client.get("/", {"tag": asked}).content.decode()
    assert {name for name, pk in tagged.items() if f'id="experiment-{pk}"' in page} == found


def test_the_list_offers_tags_and_keeps_the_rest_of_the_address(
    client: Client, tagged: dict[str, str]
) -> None:
    page = client.get("/", {"tag": "vision", "order": "name"}).content.decode()
    assert 'href="/?order=name"' in page  # without it
    assert "/?tag=vision&amp;tag=vision-2&amp;order=name" in page  # with another
    assert "/?tag=vision&amp;phase=done&amp;order=name" in page  # the tabs
    assert '<input type="hidden" name="tag" value="vision">' in page
    assert client.get("/", {"tag": ["\x00", "", "x" * 500]}).status_code == 200
    found = client.get("/api/v1/experiments/", {"search": "vision-"}).json()["results"]
    assert [row["name"] for row in found] == ["two"]


def test_tags_cost_the_list_one_query(
    client: Client, tagged: dict[str, str], make_experiment: Any, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(40) as few:
        client.get("/")
    for number in range(20):
        make_experiment(tags=tags.joined([f"t{number}"]))
    with django_assert_max_num_queries(len(few)):
        client.get("/")
