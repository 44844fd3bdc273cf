"""API keys: set by command line or REST, sealed in the database, shown by nothing."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from experiments.aistore import outbox, vault
from experiments.models import Experiment, Project, Secret, Trial
from experiments.redaction import RedactingFormatter, redact
from experiments.selectors.export import CONTENT_TYPES, export
from experiments.services.intake import take_in
from tests.aistore.conftest import folder_row, upload
from tests.aistore.server import KEY, OTHER_KEY, FakeAIStore, Refuse
from tests.conftest import MANIFEST

ROOT = Path(__file__).resolve().parents[2]
URL = "/api/v1/secrets/"


def put(client: Client, name: str, value: Any, **kwargs: Any) -> Any:
    body = {"value": value, **kwargs}
    return client.put(f"{URL}{name}/", body, content_type="application/json")


# ---- kept


def test_what_is_stored_is_sealed_and_opens_with_the_same_secret_key_alone(db: None, settings: Any):
    vault.put(Project.default(), "k", KEY)
    row = Secret.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM experiments_secret")
        assert KEY not in repr(cursor.fetchall())
    assert row.reveal() == KEY
    first = row.sealed
    vault.put(Project.default(), "k", KEY)
    assert Secret.objects.get().sealed != first, "sealed anew each time"
    settings.SECRET_KEY = "another"
    with pytest.raises(vault.SecretError, match="SECRET_KEY has changed"):
        row.reveal()
    assert KEY not in repr(row) + str(row)


# ---- REST


@pytest.mark.long
def test_a_secret_is_set_changed_listed_and_deleted_but_never_read(client: Client):
    assert put(client, "my-key", KEY).status_code == 201
    changed = put(client, "my-key", OTHER_KEY)
    assert changed.status_code == 200
    assert set(changed.json()) == {"name", "changed_at"}
    listed = client.get(URL)
    assert [row["name"] for row in listed.json()] == ["my-key"]
    assert OTHER_KEY not in listed.content.decode() + changed.content.decode()
    assert client.get(f"{URL}my-key/").status_code == 405
    assert client.delete(f"{URL}my-key/").status_code == 204
    assert client.delete(f"{URL}my-key/").status_code == 404
    assert client.get(URL).json() == []


def test_no_database_is_asked_for_a_name_that_one_refuses(db: None, django_assert_num_queries: Any):
    project = Project.default()
    with django_assert_num_queries(0):
        assert not vault.remove(project, "a\x00b")


@pytest.mark.parametrize("value", [KEY.upper(), KEY[:-1], f" {KEY}", KEY + "\n", "a" * 36])
def test_a_key_of_another_form_is_refused_without_repeating_it(client: Client, value: str):
    answer = put(client, "my-key", value)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["path"] == "value"
    assert "8-4-4-4-12" in error["message"]
    assert value.strip() not in answer.content.decode()
    assert not Secret.objects.exists()


@pytest.mark.parametrize("value", [5, None, [KEY], {"a": KEY}])
def test_a_value_of_another_type_is_not_repeated_either(client: Client, value: Any):
    answer = put(client, "my-key", value)
    assert answer.status_code == 400
    assert KEY not in answer.content.decode()


def test_unknown_fields_and_bad_names_are_refused(client: Client):
    assert put(client, "my-key", KEY, extra=1).status_code == 400
    answer = put(client, "a%20b", KEY)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "name"


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_a_stranger_is_told_nothing(stranger: Client, method: str):
    vault.put(Project.default(), "my-key", KEY)
    url = URL if method == "get" else f"{URL}my-key/"
    assert getattr(stranger, method)(url).status_code in (401, 403)
    assert Secret.objects.count() == 1


# ---- command line


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def run(*argv: str) -> str:
    out = io.StringIO()
    call_command("secret", *argv, stdout=out)
    return out.getvalue()


def test_the_command_sets_lists_and_deletes(db: None, stdin: Callable[[str], None]):
    stdin(KEY + "\n")
    assert run("my-key") == "The secret 'my-key' is set.\n"
    assert Secret.objects.get().reveal() == KEY
    stdin(OTHER_KEY)
    assert run("my-key") == "The secret 'my-key' is changed.\n"
    shown = run("--list")
    assert shown.startswith("my-key  set ")
    assert OTHER_KEY not in shown
    assert run("my-key", "--delete") == "The secret 'my-key' is deleted.\n"
    with pytest.raises(CommandError, match="There is no secret 'my-key'"):
        run("my-key", "--delete")
    with pytest.raises(CommandError, match="no project 'other'"):
        run("--list", "--project", "other")


def test_the_command_refuses_what_is_no_key_without_repeating_it(
    db: None, stdin: Callable[[str], None]
):
    stdin("not-a-key-but-secret")
    with pytest.raises(CommandError, match="8-4-4-4-12") as caught:
        run("my-key")
    assert "not-a-key" not in str(caught.value)
    with pytest.raises(CommandError, match="NAME"):
        run()


@pytest.mark.long
def test_the_key_is_no_argument_of_the_command(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "secret", "my-key", KEY],
        env={"AUTOTUNE_DATA": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "unrecognized arguments" in done.stderr


# ---- forecast


def manifest_with_aistore() -> dict[str, Any]:
    spec = {**MANIFEST["spec"], "aistore": {"folder": "f1", "secret": "my-key"}}
    return {**MANIFEST, "spec": spec}


def test_no_host_and_no_secret_are_warnings(db: None, settings: Any):
    settings.AISTORE_HOST = ""
    intake = take_in(manifest_with_aistore())
    assert intake.problems == ()
    found = {w.path: w for w in intake.warnings if w.path.startswith("spec.aistore")}
    assert "AISTORE_HOST is not set" in found["spec.aistore"].message
    assert "manage secret my-key" in found["spec.aistore.secret"].hint
    assert intake.can_start


def test_with_both_there_is_no_warning(db: None, settings: Any):
    settings.AISTORE_HOST = "https://home/t9k/aistore/server"
    vault.put(Project.default(), "my-key", KEY)
    paths = [w.path for w in take_in(manifest_with_aistore()).warnings]
    assert not [path for path in paths if path.startswith("spec.aistore")]


def test_a_warning_stands_at_its_line(db: None):
    text = yaml.safe_dump(manifest_with_aistore(), sort_keys=False)
    line = 1 + next(n for n, row in enumerate(text.splitlines()) if "secret: my-key" in row)
    found = {w.path: w.line for w in take_in(text.encode()).warnings}
    assert found["spec.aistore.secret"] == line


def test_a_key_in_place_of_the_secrets_name_is_refused_without_repeating_it():
    manifest = manifest_with_aistore()
    manifest["spec"]["aistore"] = {"folder": "f1", "secret": KEY}
    (problem,) = take_in(manifest).problems
    assert problem.path == "spec.aistore.secret"
    assert "name of a Secret" in problem.message
    assert KEY not in repr(problem)


# ---- shown by nothing


def test_texts_lose_keys_wherever_they_stand():
    assert redact(f"GET /x?apikey={KEY}&a=1") == "GET /x?apikey=***&a=1"
    assert redact(f'{{"apikey": "{KEY}"}}') == '{"apikey": "***"}'
    assert redact(f"url: /x?page=1&apikey={KEY} (Caused by y)").endswith("=*** (Caused by y)")
    assert redact(f"api key {KEY} not found", KEY) == "api key *** not found"


def test_texts_lose_the_tokens_of_trials():
    token = "17.abcde.3.exp12345." + "Ab-_" * 5 + "xy"
    assert redact(f"POST /t/{token}/apis/v1/metric") == (
        "POST /t/17.abcde.3.exp12345.***/apis/v1/metric"
    )
    assert redact("version 1.2.3.4 of a.b") == "version 1.2.3.4 of a.b"


def test_log_lines_and_tracebacks_lose_keys():
    formatter = RedactingFormatter("%(message)s")
    try:
        raise OSError(f"no route to https://x/y?apikey={KEY}")
    except OSError:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "at %s", (f"?apikey={KEY}",), sys.exc_info()
        )
    text = formatter.format(record)
    assert KEY not in text
    assert text.count("apikey=***") >= 2, "in the message and in the traceback"


FAILURES: list[Any] = [
    None,
    "drop",
    "redirect",
    "html",
    Refuse(500, f"cannot GET ?apikey={KEY}"),
    Refuse(400, f"api key {KEY} not found\n"),
    Refuse(403, "permission denied"),
    Refuse(404, f"node not found [{KEY}]"),
    Refuse(418, f"I am a teapot, your key is {KEY}"),
]


@pytest.mark.long
@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_no_log_page_error_event_or_export_shows_the_key(
    running: Experiment,
    end_trial: Callable[..., Trial],
    aistore: FakeAIStore,
    client: Client,
    failure: Any,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    end_trial(running, 0.5)
    aistore.fail = lambda method, path: failure
    with caplog.at_level(logging.DEBUG):
        upload(running)
    row = folder_row(running)
    base = f"/api/v1/experiments/{running.pk}/"
    pages = [
        f"/experiments/{running.pk}/",
        f"/experiments/{running.pk}/trials/0/",
        "/",
        *(base + part for part in ("", "manifest/", "events/", "trials/", "trials/0/")),
        "/api/v1/experiments/",
        URL,
    ]
    running.refresh_from_db()
    everything = {
        "log": caplog.text,
        "output": "-" + "".join(capfd.readouterr()),
        "row": repr({f.name: getattr(row, f.name) for f in row._meta.fields}),
        "events": repr(list(running.events.values())),
        "uploads": repr(list(running.uploads.values())),
    }
    for kind in CONTENT_TYPES:
        everything[f"export {kind}"] = export(running, kind).decode()
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        everything[page] = answer.content.decode()
    if failure is None:
        assert row.state == "DONE"
        everything["what AIStore keeps"] = repr([aistore.nodes, aistore.objects])
    else:
        assert row.error
    for place, text in everything.items():
        assert text, place
        assert KEY not in text, place


# ---- trying again, over REST


def test_try_again_is_offered_and_refused_where_it_makes_no_sense(
    running: Experiment,
    end_trial: Callable[..., Trial],
    aistore: FakeAIStore,
    client: Client,
    stranger: Client,
    make_experiment: Callable[..., Experiment],
):
    url = f"/api/v1/experiments/{running.pk}/aistore/retry/"
    del aistore.keys[KEY]
    end_trial(running)
    upload(running)
    head = client.get(f"/api/v1/experiments/{running.pk}/").json()["aistore"]
    assert (head["state"], head["runs"], head["uploaded"], head["failed"]) == ("failed", 1, 0, 1)
    assert head["url"] is None
    assert stranger.post(url).status_code in (401, 403)
    aistore.keys[KEY] = "alice"
    assert client.post(url).json()["aistore"]["state"] == "waiting"
    assert outbox.due_ids() == [running.pk]
    upload(running)
    head = client.get(f"/api/v1/experiments/{running.pk}/").json()["aistore"]
    assert (head["state"], head["uploaded"], head["error"]) == ("done", 1, "")
    home = aistore.url.removesuffix("/aistore/server")  # type: ignore[attr-defined]
    assert head["url"] == f"{home}/em/web/#/folders/{folder_row(running).node_id}/"
    assert client.post(url).status_code == 409
    plain = make_experiment()
    assert client.post(f"/api/v1/experiments/{plain.pk}/aistore/retry/").status_code == 409
    assert client.get(f"/api/v1/experiments/{plain.pk}/").json()["aistore"] is None


def test_a_list_asks_for_all_uploads_at_once(
    running: Experiment,
    make_experiment: Callable[..., Experiment],
    client: Client,
    django_assert_max_num_queries: Any,
):
    for _ in range(5):
        make_experiment(running.manifest["spec"])
    with django_assert_max_num_queries(12):
        answer = client.get("/api/v1/experiments/").json()
    assert [bool(row["aistore"]) for row in answer["results"]] == [True] * 6
