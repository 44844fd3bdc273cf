"""The guide: every link and picture leads somewhere, in both languages, and each page to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.test import Client
from django.urls import Resolver404, resolve
from django.utils.translation import override

from experiments.models import Experiment, Trial
from experiments.web import guide, urls

LANGUAGES = {"en": "en", "zh-hans": "zh-CN"}
FILES = sorted(file for language in LANGUAGES for file in (guide.GUIDE / language).glob("*.md"))
ADDRESS = re.compile(r"\]\(([^)\s]+)\)")
LARGEST = 100_000  # bytes of a picture


class Addresses(HTMLParser):
    """What a page of HTML links to, and what it shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.ids: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.links.append(found.get("href") or "")
        if tag == "img":
            self.pictures.append(found.get("src") or "")
        self.ids.add(found.get("id") or "")


def chapters_of(language: str) -> set[str]:
    return {file.stem for file in (guide.GUIDE / language).glob("*.md")}


def test_both_languages_have_every_chapter_and_no_other() -> None:
    for language in LANGUAGES:
        assert chapters_of(language) == set(guide.CHAPTERS)
    contents = (guide.GUIDE / "README.md").read_text()
    assert [f for f in FILES if f"{f.parent.name}/{f.name}" not in contents] == []


def test_every_route_of_a_page_has_its_chapter() -> None:
    own = {"help", "help-reference", "help-picture"}
    no_page = {"experiment-sync", "experiment-template", "api-token-delete", "set-language"}
    no_page |= {"experiment-import"}
    no_page |= {"notification-test", "notification-delete"}
    before = {"sign-in", "sign-in-link", "sign-out"}
    names = {pattern.name for pattern in urls.urlpatterns if pattern.name}  # else it leads on
    assert names - own - no_page - before == guide.PAGES.keys()
    assert set(guide.PAGES.values()) <= set(guide.CHAPTERS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_what_a_chapter_links_to_is_there(file: Path) -> None:
    """In the repository, and in the product, anchors too."""
    targets = ADDRESS.findall(file.read_text())
    assert targets
    for target in targets:
        path, _hash, anchor = target.partition("#")
        if path.startswith("/"):
            resolve(path)
            continue
        there = (file.parent / path).resolve()
        assert there.exists(), target
        assert guide.address(target, file), f"{target} is not shown in the product"
        if anchor:
            assert anchor in guide.page(there).anchors, target
        is_of_another_language = there.suffix == ".md" and there.parent.parent == guide.GUIDE
        assert not is_of_another_language or there.parent == file.parent, target


def test_the_languages_show_the_same_pictures_and_each_is_shown_once() -> None:
    shown = {
        language: [
            Path(target).name
            for file in FILES
            if file.parent.name == language
            for target in ADDRESS.findall(file.read_text())
            if target.endswith(".png")
        ]
        for language in LANGUAGES
    }
    assert len(shown["en"]) > 8
    assert sorted(shown["en"]) == sorted(shown["zh-hans"])
    for language, names in shown.items():
        kept = list((guide.PICTURES / language).glob("*"))
        assert sorted(file.name for file in kept) == sorted(names)
        assert [file.name for file in kept if file.stat().st_size > LARGEST] == []


def test_the_reference_is_called_what_it_says_itself_and_in_chinese_by_chinese_names() -> None:
    titles = [guide.page(file).title for file in guide.REFERENCE.values()]
    with override("en"):
        assert [entry.title for entry in guide.reference()] == titles
    with override("zh-hans"):
        own = {t.title for t in guide.reference()} & set(titles)
    assert own == {"AIStore"}


@pytest.mark.long
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_help_is_shown_and_leads_somewhere(client: Client, language: str) -> None:
    seen, waiting = set(), ["/help/"]
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = client.get(url, headers={"accept-language": LANGUAGES[language]})
        assert answer.status_code == 200, url
        html = answer.content.decode()
        shown = Addresses(html[html.index('class="help"') :])
        for picture in shown.pictures:
            found = client.get(picture)
            assert found["Content-Type"] == "image/png"
            assert f"/{language}/" in picture
        for link in shown.links:
            path = link.partition("#")[0]
            if path.startswith("/help/") and not path.startswith("/help/pictures/"):
                waiting.append(path)
            elif path.startswith("/"):
                resolve(path)
            elif not path:
                assert link[1:] in shown.ids, link
            else:
                assert path.startswith("https://"), f"{url}: {link}"
        whole = [link for link in shown.links if link.endswith(".png")]  # for a phone
        assert whole == shown.pictures
    assert len(seen) == 1 + len(guide.CHAPTERS) + len(guide.REFERENCE)


def test_each_page_links_to_its_chapter(
    client: Client, make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> None:
    experiment = make_experiment()
    trial = make_trial(experiment)
    make_trial(experiment)
    page = f"/experiments/{experiment.pk}/"
    for url, chapter in {
        "/": "first-experiment",
        "/experiments/new/": "search-space",
        page: "watching",
        f"{page}trials/{trial.number}/": "failures",
        f"{page}compare/?trials=0,1": "comparing",
        "/tokens/": "taking-away",
    }.items():
        found = client.get(url).content.decode()
        assert re.search(rf'href="/help/{chapter}/"\s+data-testid="help-link"', found), url
    detail = Addresses(client.get(page).content.decode()).links
    assert {"/help/why-better/", "/help/failures/"} <= set(detail)


def test_a_reference_table_names_its_cells_unless_it_is_a_matrix() -> None:
    html = guide.page(guide.REFERENCE["algorithms"]).html
    assert '<table class="help-list">' in html
    assert '<td data-label="meaning">Trials in the first generation.</td>' in html
    types, _, rest = html.partition("</table>")
    assert "<table>" in types, "nine columns"
    assert "data-label" not in types
    chapter = guide.page(guide.file_of("search-space", "en")).html
    assert "data-label" not in chapter, "its tables are read as tables on a phone, too"


def test_html_in_a_text_is_shown_as_text_and_no_address_runs_code(tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_text(
        "# A <b>b</b>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) [y](gone.md) "
        "![z](../../../etc/passwd)\n"
    )
    html = guide.page(file).html
    assert "<script" not in html
    assert "<b>" not in html
    assert "href=" not in html
    assert 'src=""' in html


@pytest.mark.parametrize(
    "url",
    [
        *("/help/nothing/", "/help/reference/architecture/", "/help/pictures/en/x.png"),
        *("/help/pictures/en/..%2f..%2fREADME.md", "/help/reference/..%2fguide/"),
    ],
)
def test_nothing_else_is_shown(client: Client, url: str) -> None:
    assert client.get(url).status_code == 404


def test_a_heading_is_addressed_as_github_does() -> None:
    assert guide.slug("When trials fail alike") == "when-trials-fail-alike"
    assert guide.slug("Is the winner real?") == "is-the-winner-real"
    with pytest.raises(Resolver404):
        resolve("/help/a/b/c/")
