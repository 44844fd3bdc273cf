"""REST: the logs of a trial, read in pieces, without the token that it reports with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from experiments.aistore.facts import log_tail
from experiments.models import Experiment, Trial
from experiments.training.base import (
    Backend,
    BackendUnavailable,
    Handle,
    JobStatus,
    Launch,
    LogFile,
)
from experiments.trials import logs
from tests.web.rest import errors, trials_url


class KeptLogs(Backend):
    """A backend that only keeps logs, in a folder."""

    name = "kept"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_away = False

    def launch(self, launch: Launch) -> Handle:
        raise AssertionError("only logs are asked for")

    def find(self, launch: Launch) -> Handle | None:
        raise AssertionError("only logs are asked for")

    def poll(self, handles: Any) -> list[JobStatus]:
        raise AssertionError("only logs are asked for")

    def stop(self, handle: Handle) -> None:
        raise AssertionError("only logs are asked for")

    def forget(self, handle: Handle) -> None:
        raise AssertionError("only logs are asked for")

    def logs(self, handle: Handle) -> list[LogFile]:
        if self.is_away:
            raise BackendUnavailable("no route to the cluster")
        return [LogFile(p.name, p.stat().st_size) for p in sorted(self.folder.iterdir())]

    def read_log(self, handle: Handle, log: str, offset: int, limit: int) -> bytes:
        data = (self.folder / log).read_bytes()
        return data[offset : offset + limit]


@pytest.fixture
def kept(tmp_path: Path, four: list[Trial], monkeypatch: pytest.MonkeyPatch) -> KeptLogs:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.stdout").write_bytes(b"0123456789<script>alert(1)</script>")
    (folder / "b.stderr").write_bytes("错误".encode())
    (tmp_path / "secret").write_text("not a log")
    backend = KeptLogs(folder)
    monkeypatch.setattr(logs, "backend", lambda: backend)
    Trial.objects.filter(pk=four[0].pk).update(handle={"job": 1})
    return backend


def test_logs_are_listed_with_their_sizes(
    client: Client, experiment: Experiment, kept: KeptLogs
) -> None:
    assert client.get(trials_url(experiment, "0/logs/")).json() == [
        {"name": "a.stdout", "size": 35},
        {"name": "b.stderr", "size": 6},
    ]
    assert client.get(trials_url(experiment, "3/logs/")).json() == []  # never launched


def test_a_log_is_plain_text_and_never_html(
    client: Client, experiment: Experiment, kept: KeptLogs
) -> None:
    response = client.get(trials_url(experiment, "0/log/"), headers={"Accept": "text/html"})
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.content.endswith(b"<script>alert(1)</script>")
    assert response["X-Log-Name"] == "a.stdout"


@pytest.mark.parametrize(
    ("query", "text", "offset", "following"),
    [
        ({"offset": 2, "limit": 3}, b"234", 2, 5),
        ({"offset": -9}, b"</script>", 26, 35),
        ({"offset": -900, "limit": 2}, b"01", 0, 2),
        ({"offset": 35}, b"", 35, 35),
        ({"offset": 900}, b"", 35, 35),
        ({"log": "b.stderr", "limit": 2}, "错".encode()[:2], 0, 2),
    ],
    ids=str,
)
def test_a_log_is_read_in_pieces(
    client: Client,
    experiment: Experiment,
    kept: KeptLogs,
    query: dict[str, Any],
    text: bytes,
    offset: int,
    following: int,
) -> None:
    response = client.get(trials_url(experiment, "0/log/"), query)
    assert response.content == text
    assert (response["X-Log-Offset"], response["X-Log-Next"]) == (str(offset), str(following))
    assert response["X-Log-Size"] == ("6" if "log" in query else "35")


def test_a_trial_never_launched_has_an_empty_log(
    client: Client, experiment: Experiment, kept: KeptLogs
) -> None:
    response = client.get(trials_url(experiment, "3/log/"))
    assert (response.status_code, response.content, response["X-Log-Size"]) == (200, b"", "0")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "c.stdout", "a.stdout\x00"])
def test_only_listed_logs_can_be_read(
    client: Client, experiment: Experiment, kept: KeptLogs, name: str
) -> None:
    response = client.get(trials_url(experiment, "0/log/"), {"log": name})
    assert response.status_code in (400, 404)
    assert b"not a log" not in response.content


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 2_000_000}, {"offset": "end"}])
def test_a_bad_piece_is_refused(
    client: Client, experiment: Experiment, kept: KeptLogs, query: dict[str, Any]
) -> None:
    response = client.get(trials_url(experiment, "0/log/"), query)
    assert response.status_code == 400
    assert list(errors(response)) == list(query)


def test_a_backend_that_is_away_is_503_with_a_time_to_come_back(
    client: Client, experiment: Experiment, kept: KeptLogs
) -> None:
    kept.is_away = True
    response = client.get(trials_url(experiment, "0/log/"))
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert "no route to the cluster" in errors(response)[""]


TOKEN = "17.abcde.3.exp12345." + "Ab-_" * 5 + "xy"


@pytest.mark.long
def test_the_token_that_a_trial_reports_with_never_leaves_with_its_log(
    client: Client, experiment: Experiment, kept: KeptLogs, four: list[Trial]
) -> None:
    line = f"channel http://127.0.0.1:8080/n/{TOKEN}\n"
    printed = (line * 2).encode()
    (kept.folder / "a.stdout").write_bytes(printed)
    hidden = printed.replace(TOKEN[-22:].encode(), b"*" * 22)

    def read(start: int, limit: int) -> bytes:
        query = {"log": "a.stdout", "offset": start, "limit": limit}
        response = client.get(trials_url(experiment, "0/log/"), query)
        assert response["X-Log-Offset"] == str(start % len(printed))
        return bytes(response.content)

    assert read(0, 1000) == hidden
    for start in range(len(printed)):  # wherever a piece begins and ends
        assert read(start, 30) == hidden[start : start + 30]
    assert read(-40, 1000) == hidden[-40:]
    assert run_log(four[0]) == hidden


def test_a_token_that_is_being_written_is_not_shown_in_halves(
    client: Client, experiment: Experiment, kept: KeptLogs
) -> None:
    whole = f"at {TOKEN} now"
    for end in range(1, len(whole)):
        (kept.folder / "a.stdout").write_text(whole[:end])
        text = client.get(trials_url(experiment, "0/log/"), {"log": "a.stdout"}).content.decode()
        assert len(text) == end
        shown = text.replace("*", "")
        assert TOKEN[-22:-18] not in shown


def run_log(trial: Trial) -> bytes:
    """What AIStore would get as its stdout.log."""
    trial.refresh_from_db()
    return log_tail(trial, patient=True)
