"""The HTML report: everything in one file, in either language, nothing of a user's as markup."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from io import BytesIO
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import translation

from experiments.charts import CHARTS
from experiments.models import Experiment
from experiments.selectors import one_file, report
from experiments.selectors.export import csv_text, export
from experiments.services import figures, many
from experiments.services.generated.rows import generate
from experiments.services.generated.wish import Wish
from experiments.states import Phase, TrialState
from experiments.trials import changes

NASTY = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """What a browser would make of the file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name in given)
        self._script = (given.get("id") or f"code{len(self.scripts)}") if tag == "script" else None
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = data
        else:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture
def nasty(make_experiment: Any, make_trial: Any) -> Experiment:
    found: Experiment = make_experiment(
        name=NASTY, phase=Phase.DONE, notes=NASTY, message=NASTY, optimize_mode="minimize"
    )
    for number in range(4):
        make_trial(
            found, state=TrialState.SUCCEEDED, value=number / 7, exit_code=0,
            parameters={NASTY: NASTY, "n": 2**60 + number}, metrics={"default": 0.5, NASTY: "NaN"},
        )  # fmt: skip
    make_trial(found, state=TrialState.FAILED, reason=NASTY, exit_code=3, parameters={"n": 1})
    make_trial(found, state=TrialState.EARLY_STOPPED, reason=NASTY, value=9.0, n_reports=7)
    own = {"data": [{"type": "bar", "x": [NASTY], "y": [1]}], "layout": {"title": {"text": NASTY}}}
    figures.keep(found, "own", own, None)
    changes.update_best(found)
    found.refresh_from_db()
    return found


def test_nothing_of_a_users_becomes_markup(nasty: Experiment) -> None:
    page = Page(export(nasty, "html").decode())
    assert "img" not in page.tags
    assert page.tags.count("script") == 5  # drawing, figures, own ones, Plotly, the table
    assert page.text.count(NASTY) >= 6  # name, notes, message, parameters, reasons
    json.loads(page.scripts["figures"])
    assert "<script" not in page.scripts["own-figures"]
    assert len(json.loads(page.scripts["own-figures"])) == 1


def test_only_the_scripts_of_the_file_may_run_and_nothing_is_loaded(nasty: Experiment) -> None:
    page = Page(export(nasty, "html").decode())
    rules = dict(rule.split(" ", 1) for rule in page.policy.split("; "))
    assert rules["default-src"] == "'none'"
    code = [text for name, text in page.scripts.items() if name.startswith("code")]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code]
    assert len(code) == 2
    assert rules["script-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)


def test_it_says_what_was_found_and_how_it_was_run(nasty: Experiment) -> None:
    page = Page(export(nasty, "html").decode())
    for words in (
        "Minimize", "6 of 6 finished", "Best parameters", str(2**60), "Failures 1",
        "Stopped early 1", "How it was run", "maxTrialNum", str(nasty.seed), "Manifest",
        "AutoTune Web", "Plotly",
    ):  # fmt: skip
        assert words in page.words, words
    data = base64.b64decode(page.scripts["csv"])
    assert gzip.decompress(data).decode() == csv_text(nasty)


def test_what_is_done_to_many_trials_at_once_is_one_line_of_its_timeline(
    nasty: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four hundred lines of it took the place of all that was decided before."""
    monkeypatch.setattr(report, "MOST_EVENTS", 2)
    ended = [trial.pk for trial in nasty.trials.order_by("number")]
    many.set_excluded(nasty, ended[:5], excluded=True, reason="wrong data")
    many.set_excluded(nasty, ended[5:], excluded=True, reason="another split")
    page = Page(export(nasty, "html").decode())
    assert "Excluded from the results · 5 trials wrong data" in page.words
    assert "Excluded from the results · Trial 5 another split" in page.words
    assert page.words.count("Excluded from the results") == 2


def test_it_speaks_the_readers_language_or_the_one_asked_for(
    client: Client, nasty: Experiment
) -> None:
    path = f"/api/v1/experiments/{nasty.pk}/export/"
    said = client.get(path, {"format": "html"}, headers={"Accept-Language": "zh-CN"})
    page = said.content.decode()
    assert 'lang="zh-hans"' in page
    assert "最佳超参数" in page
    assert "Best parameters" not in Page(page).text
    kinds = [
        figure["layout"]["meta"]["kind"] for figure in json.loads(Page(page).scripts["figures"])
    ]
    assert "history" in kinds
    english = client.get(
        path, {"format": "html", "language": "en"}, headers={"Accept-Language": "zh-CN"}
    )
    assert "Best parameters" in english.content.decode()


def test_the_best_trials_come_first(nasty: Experiment) -> None:
    rows = report._table(nasty)["rows"]
    assert [row["trial"].number for row in rows] == [0, 1, 2, 3, 4, 5]  # minimised, then the others
    nasty.optimize_mode = "maximize"
    assert [row["trial"].number for row in report._table(nasty)["rows"]][:4] == [3, 2, 1, 0]


def test_it_has_a_title_for_every_chart() -> None:
    assert set(report._titles()) == set(CHARTS)


@pytest.mark.django_db
def test_without_charts_there_is_no_library(make_experiment: Any) -> None:
    page = export(make_experiment(), "html")
    assert len(page) < 300_000
    assert b"figure" in page


@pytest.mark.django_db
def test_the_table_is_left_out_where_the_file_would_be_too_large(
    nasty: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_BYTES", 1000)
    assert "csv" not in Page(export(nasty, "html").decode()).scripts


@pytest.mark.long
@pytest.mark.django_db
def test_ten_thousand_trials_fit_into_eight_megabytes() -> None:
    made = generate(Wish(trials=10_000, points=10, failed=0.05, stopped=0.2))
    with translation.override("zh-hans"):
        page = export(made, "html")
    assert 4_000_000 < len(page) <= report.MOST_BYTES == 8_000_000
    assert "csv" in Page(page.decode()).scripts


# ---- one file


def test_modules_become_one_script(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "js/a/main.js": 'import {\n  one as uno,\n  Two,\n} from "../b.js";\nuno(Two);',
        "js/b.js": 'import { three } from "./c.js";\nexport function one() {}\nexport class Two {}',
        "js/c.js": "export const three = 3;",
    }
    monkeypatch.setattr(one_file, "static_text", files.__getitem__)
    text = one_file.bundled("js/a/main.js")
    assert text.index("js/c.js") < text.index("js/b.js") < text.index("js/a/main.js")
    assert 'const { one: uno, Two, } = modules["js/b.js"];' in text
    assert "import" not in text
    assert "export" not in text
    for bad in ('import x from "./b.js";', "export default 3;", "export let x = 3;"):
        files["js/c.js"] = bad
        with pytest.raises(ValueError, match=re.escape(bad)):
            one_file.bundled("js/a/main.js")
    files["js/c.js"] = 'import { one } from "./b.js";'
    with pytest.raises(ValueError, match="import each other"):
        one_file.bundled("js/a/main.js")


def test_no_script_can_end_its_own_element() -> None:
    text = one_file.script('const a = "</script><!--<SCRIPT>";')
    assert text.count("<") == 2
    with pytest.raises(ValueError, match="end of its own"):
        one_file.style("a::after { content: '</style>' }")


# ---- the command


def test_the_command_writes_files(nasty: Experiment, tmp_path: Any) -> None:
    file = tmp_path / "report.html"
    call_command("export", nasty.pk, "--format=html", "--language=zh-hans", f"--out={file}")
    assert "最佳超参数" in file.read_text()
    with patch("sys.stdout") as stdout:
        stdout.buffer = BytesIO()
        call_command("export", nasty.pk)
        assert json.loads(stdout.buffer.getvalue())["experiment"]["id"] == nasty.pk
    with pytest.raises(CommandError, match="no experiment 'nosuch'"):
        call_command("export", "nosuch")
    with pytest.raises(CommandError, match="No such file or directory"):
        call_command("export", nasty.pk, f"--out={tmp_path / 'no' / 'such'}")
