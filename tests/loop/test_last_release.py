"""An upgrade without a gap: the last release's processes live on what this one's migrations make.

The statements and messages of tests/releases are what its code really ran and sent. Old code on a
database that is too new for it says so and touches nothing.
"""

from __future__ import annotations

import base64
import inspect
import json
import sqlite3
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader

from autotune_web.celery import app
from experiments.embedded import health
from experiments.models import Release, release
from tests.e2e.stack import ROOT, environment, manage

RELEASE = ROOT / "tests" / "releases" / "8e3b87b"
RELEASED = "0005_cluster_objects"  # its newest migration


def unpack(directory: Path) -> Path:
    """The release's data directory, as it was left."""
    with tarfile.open(RELEASE / "data.tar.gz") as tar:
        tar.extractall(directory, filter="data")
    return directory / "data"


# ---------------------------------------------------------------- its processes on our database


@pytest.mark.long
def test_what_its_processes_ask_the_database_still_works_after_our_migrations(tmp_path: Path):
    data = unpack(tmp_path)
    assert manage(data, "migrate", "--no-input").returncode == 0
    database = sqlite3.connect(data / "autotune.sqlite3", isolation_level=None)
    statements = json.loads((RELEASE / "statements.json").read_text())
    assert len(statements) > 150
    broken = []
    for sql, parameters in statements:
        database.execute("BEGIN")
        try:
            database.execute(sql.replace("%s", "?"), parameters or ()).fetchall()
        except sqlite3.Error as error:
            # Its row is there already: that is how far the statement gets on its own database too.
            if not str(error).startswith("UNIQUE constraint failed"):
                broken.append(f"{error}: {sql[:200]}")
        database.execute("ROLLBACK")
    database.close()
    assert broken == []


NOT_GIVEN = models.NOT_PROVIDED


def holds_as_much(new: Any, old: Any) -> bool:
    """Whether the column takes whatever it took before."""
    if old is None or new.unique > old.unique or new.null < old.null:
        return False
    longest = (new.max_length or 10**9, old.max_length or 10**9)
    return new.get_internal_type() == old.get_internal_type() and longest[0] >= longest[1]


def needs_new_code(operation: Any, old: Any = None) -> str:
    """Why code that does not know the operation would fail after it; "" where it would not."""
    match operation:
        case migrations.CreateModel() | migrations.AddIndex() | migrations.RemoveIndex():
            return ""
        case migrations.RemoveConstraint() | migrations.AlterModelOptions():
            return ""
        case migrations.AddField(field=field) if field.null or field.db_default is not NOT_GIVEN:
            return ""
        case migrations.AddField(field=models.ManyToManyField()):
            return ""
        case migrations.AddConstraint(constraint=added) if added.name == "experiment_ends":
            return ""  # old code always writes both limits
        case migrations.AddField():
            return "old code inserts no value: give it null=True or db_default"
        case migrations.AlterField(field=field) if holds_as_much(field, old):
            return ""
        case migrations.RunPython():
            return ""  # test_what_its_processes… sees what becomes of its rows
    return "what the last release reads or writes may be gone or refused: a release later, please"


def test_no_migration_takes_away_what_the_last_release_uses():
    loader = MigrationLoader(None)
    (leaf,) = loader.graph.leaf_nodes("experiments")
    plan = [key for key in loader.graph.forwards_plan(leaf) if key[0] == "experiments"]
    since = plan[plan.index(("experiments", RELEASED)) + 1 :]
    assert since
    state = loader.project_state([("experiments", RELEASED)])
    for key in since:
        for operation in loader.disk_migrations[key].operations:
            old = None
            if isinstance(operation, migrations.AlterField):
                model = state.models["experiments", operation.model_name_lower]
                old = model.fields[operation.name]
            wrong = needs_new_code(operation, old)
            assert not wrong, f"{key[1]}: {operation}: {wrong}"
            operation.state_forwards("experiments", state)


@pytest.mark.parametrize(
    ("operation", "refused"),
    [
        (migrations.AddField("trial", "x", models.IntegerField(default=0)), True),
        (migrations.AddField("trial", "x", models.IntegerField(db_default=0)), False),
        (migrations.AddField("trial", "x", models.IntegerField(null=True)), False),
        (migrations.RemoveField("trial", "note"), True),
        (migrations.RenameField("trial", "note", "notes"), True),
        (migrations.DeleteModel("Metric"), True),
        (migrations.RenameModel("Metric", "Report"), True),
        (migrations.AlterField("trial", "note", models.IntegerField()), True),
        (
            migrations.AddConstraint("trial", models.UniqueConstraint(fields=["key"], name="k")),
            True,
        ),
        (migrations.RunSQL("DROP TABLE x"), True),
    ],
)
def test_the_rule_refuses_what_breaks_old_code(operation: Any, refused: bool):
    assert bool(needs_new_code(operation)) is refused


def test_a_column_may_grow_and_not_shrink():
    old, longer = models.CharField(max_length=20), models.CharField(max_length=30)
    assert not needs_new_code(migrations.AlterField("event", "what", longer), old)
    assert needs_new_code(migrations.AlterField("event", "what", old), longer)
    loose = models.CharField(max_length=20, null=True)
    assert not needs_new_code(migrations.AlterField("event", "what", loose), old)
    assert needs_new_code(migrations.AlterField("event", "what", old), loose)


def test_how_far_back_it_runs_is_what_is_tested():
    assert release.RUNS_FROM == RELEASED
    with (ROOT / "pyproject.toml").open("rb") as project:
        assert tomllib.load(project)["project"]["version"] == release.VERSION


# ---------------------------------------------------------------- messages, both ways


def kept_messages() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RELEASE / "messages.json").read_text())
    return found


def body(message: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(message["body"]))


def test_our_worker_understands_its_web():
    app.loader.import_default_modules()
    for message in kept_messages():
        task = app.tasks[message["headers"]["task"]]
        arguments, keywords, _ = body(message)
        inspect.signature(task.run).bind(*arguments, **keywords)


@pytest.mark.long
def test_its_worker_understands_our_web(tmp_path: Path):
    code = (
        "import django; django.setup(); from autotune_web.celery import app;"
        "connection = app.connection_for_write();"
        "app.amqp.queues['autotune'](connection.default_channel).declare();"
        "from experiments import wake;"
        "wake.reconcile_soon('abcd1234'); wake.upload_soon('abcd1234')"
    )
    env = environment(tmp_path, DJANGO_SETTINGS_MODULE="autotune_web.settings")
    subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, check=True, timeout=60)
    sent = [json.loads(p.read_text()) for p in sorted((tmp_path / "queue").glob("*.msg"))]
    kept = kept_messages()
    assert len(sent) == len(kept) == 2
    for ours, theirs in zip(sent, kept, strict=True):
        assert body(ours) == body(theirs)
        assert ours["headers"].keys() >= theirs["headers"].keys()
        assert ours["headers"]["task"] == theirs["headers"]["task"]
        for name in ("content-type", "content-encoding"):
            assert ours[name] == theirs[name]
        for name in ("delivery_info", "body_encoding"):
            assert ours["properties"][name] == theirs["properties"][name]


# ---------------------------------------------------------------- our code on a later database


def bring_further(cursor: Any, runs_from: str) -> None:
    """As a later version's ``migrate`` does it."""
    cursor.execute(
        "INSERT INTO django_migrations (app, name, applied)"
        " VALUES ('experiments', '9001_later', CURRENT_TIMESTAMP)"
    )
    cursor.execute(f"UPDATE experiments_release SET version = '9.1', runs_from = '{runs_from}'")


@pytest.fixture
def released(db: None) -> None:
    Release.objects.update_or_create(
        pk=1, defaults={"version": release.VERSION, "runs_from": release.RUNS_FROM}
    )


def test_a_database_of_our_version_is_taken(released: None):
    assert release.too_new() == ""


def test_a_later_database_that_we_may_still_use_is_taken(released: None):
    with connection.cursor() as cursor:
        bring_further(cursor, release.newest_migration())
    assert release.too_new() == ""
    release.note_release("default")
    assert Release.objects.get().version == "9.1", "we do not sign what we do not know"


def test_a_later_database_that_we_may_not_use_is_refused_in_a_line(released: None):
    with connection.cursor() as cursor:
        bring_further(cursor, "9000_earlier")
    words = release.too_new()
    assert words.count("\n") == 0
    assert "start 9.1 or newer" in words
    assert release.VERSION in words


def test_a_web_process_under_which_the_database_moves_on_is_not_ready(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
):
    assert health.database_trouble() == ""
    monkeypatch.setattr(release, "too_new", lambda: "start 9.1 or newer")
    assert health.database_trouble() == "start 9.1 or newer"


@pytest.mark.stack
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["manage.py", "up", "--port", "1"], 1),
        (["manage.py", "run", "examples/digits-mlp.yaml"], 1),
        (["manage.py", "web", "--port", "1"], 1),
        (["manage.py", "ticker"], 1),
        (["manage.py", "operator"], 1),
        (["manage.py", "token"], 1),
        (["-m", "celery", "-A", "autotune_web", "worker", "-Q", "autotune"], 1),
        (["-m", "uvicorn", "autotune_web.asgi:application", "--port", "18999"], 3),
    ],
)
def test_every_role_refuses_a_later_database_with_one_line(later: Path, argv: list[str], code: int):
    answer = subprocess.run(
        [sys.executable, *argv],
        env=environment(later, DJANGO_SETTINGS_MODULE="autotune_web.settings"),
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    words = [
        line for line in (answer.stdout + answer.stderr).splitlines() if "9.1 or newer" in line
    ]
    assert len(words) == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.returncode == code


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that a later version has migrated."""
    data = tmp_path_factory.mktemp("later")
    assert manage(data, "migrate", "--no-input").returncode == 0
    with sqlite3.connect(data / "autotune.sqlite3") as database:
        bring_further(database, "9000_earlier")
    return data
