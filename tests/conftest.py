"""Fixtures that many tests share: people, experiments, trials."""

from __future__ import annotations

import asyncio
import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management.commands import flush
from django.db import connection
from django.test import Client
from whitenoise.middleware import WhiteNoiseMiddleware

from experiments import wake
from experiments.access.throttle import sign_ins
from experiments.loop import borrowing, history
from experiments.models import Experiment, Project, Trial
from experiments.selectors import across, compare, selection, trend
from experiments.services import channels
from experiments.training.local.spawner import spawner
from tests import tables
from tests.base_manifest import base_manifest

MANIFEST = base_manifest(
    "sample",
    ["python3", "x.py"],
    framework="tensorflow",
    searchSpace={
        "lr": {"_type": "loguniform", "_value": [0.0001, 1]},
        "units": {"_type": "choice", "_value": [16, 32, 64]},
    },
)
WRITTEN_BY_MIGRATIONS = {"django_content_type", "auth_permission", "experiments_release"}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where xdist leaves groups apart: every one would start its stack twice."""
    if not session.config.getoption("loadgroup", False):
        return
    for item in session.items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"pytest-xdist does not group {item.nodeid}: see requirements.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Playwright leaves its loop "running" in the thread that runs the tests, where asyncio.run and
    async_to_sync then refuse to work in whatever test comes next: only who drives it sees it."""
    loop = asyncio._get_running_loop()
    if loop is None or "chromium" in getattr(item, "fixturenames", ()):
        return (yield)
    asyncio._set_running_loop(None)
    try:
        return (yield)
    finally:
        asyncio._set_running_loop(loop)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SQLite as it is in use, in a file: one in memory locks differently between threads."""
    if connection.vendor == "sqlite":
        path = tmp_path_factory.mktemp("database") / "test.sqlite3"
        tables.lay(path)
        connection.settings_dict["TEST"]["NAME"] = str(path)


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_keepdb: bool) -> bool:
    """Whether tables that are there stay; they always do where we laid them."""
    return django_db_keepdb or connection.vendor == "sqlite"


@pytest.fixture(scope="session", autouse=True)
def what_migrations_wrote_stays() -> Iterator[None]:
    """After a test with transactions of its own Django empties every table, and then spends more
    time than most of these tests take on writing the same kinds of content and rights again."""

    def all_others(style: Any, connection: Any, **options: Any) -> list[str]:
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        others = [name for name in names if name not in WRITTEN_BY_MIGRATIONS]
        found: list[str] = connection.ops.sql_flush(style, others, **options)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", all_others)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def static_files_found_once() -> Iterator[None]:
    """Each test client loads the middleware anew, and WhiteNoise looks at each static file then."""
    found: dict[str, Any] = {}
    find = WhiteNoiseMiddleware.add_files_from_finders

    def find_once(middleware: Any) -> None:
        if not found:
            find(middleware)
            found.update(middleware.files)
        middleware.files = dict(found)

    WhiteNoiseMiddleware.add_files_from_finders = find_once
    yield
    WhiteNoiseMiddleware.add_files_from_finders = find


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hints to the loop are collected instead of sent: no worker runs in unit tests."""
    sent: list[str] = []
    monkeypatch.setattr(
        wake, "reconcile_soon", lambda experiment_id, **options: sent.append(experiment_id)
    )
    monkeypatch.setattr(wake, "upload_soon", lambda experiment_id, **options: None)
    monkeypatch.setattr(wake, "notify_soon", lambda channel_id, **options: None)
    return sent


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """Curves are kept by trial id, and a database that is rolled back gives ids again."""
    history.forget()
    borrowing.forget()
    sign_ins.forget()
    channels.forget_tests()
    trend.forget()
    across.forget()
    compare.forget()
    selection.forget()


@pytest.fixture(scope="session", autouse=True)
def no_spawner_left() -> Iterator[None]:
    """The process that starts local trials would be ended by our own end, with a warning."""
    yield
    spawner(sys.executable).close()


@pytest.fixture
def alice(db: None, settings: Any) -> Any:
    # The real hasher is slow on purpose; every test that signs in would pay for it.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return get_user_model().objects.create_user("alice", password="correct horse")


@pytest.fixture
def client(alice: Any) -> Client:
    """A browser signed in as alice."""
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def stranger(db: None) -> Client:
    """A browser that nobody signed in."""
    return Client()


@pytest.fixture
def make_experiment(db: None) -> Callable[..., Experiment]:
    """Write an experiment row; keywords are columns, ``spec`` is merged into the manifest's."""

    def make(spec: dict[str, Any] | None = None, **columns: Any) -> Experiment:
        manifest = copy.deepcopy({**MANIFEST, "spec": {**MANIFEST["spec"], **(spec or {})}})
        values: dict[str, Any] = {
            "name": "sample",
            "manifest": manifest,
            "max_exec_seconds": manifest["spec"]["maxExecSeconds"],
            "max_trials": manifest["spec"]["maxTrialNum"],
            "concurrency": manifest["spec"]["trialConcurrency"],
            "optimize_mode": "maximize",
            "seed": 1,
        }
        values |= columns
        return Experiment.objects.create(project=Project.default(), **values)

    return make


@pytest.fixture
def make_trial(db: None) -> Callable[..., Trial]:
    """Write a trial row under the next number; keywords are columns."""

    def make(experiment: Experiment, **columns: Any) -> Trial:
        columns.setdefault("number", experiment.trials.count())
        columns.setdefault("parameters", {"lr": 0.01, "units": 32})
        return Trial.objects.create(experiment=experiment, **columns)

    return make
