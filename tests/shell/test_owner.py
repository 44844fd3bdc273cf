"""Who owns the data directory is the administrator of its server; nobody else is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from experiments import owner_key
from experiments.models import ApiToken
from tests.e2e.stack import ROOT


@pytest.fixture
def directory(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path
    owner_key.make(tmp_path)
    return tmp_path


def asked(token: str) -> int:
    return Client().get("/api/v1/experiments/", HTTP_AUTHORIZATION=f"Bearer {token}").status_code


def test_the_key_is_its_owner_s_alone_and_opens_for_some_seconds(db, directory, monkeypatch):
    assert (directory / owner_key.FILE).stat().st_mode & 0o777 == 0o600
    assert os.listdir(directory) == [owner_key.FILE]
    token = owner_key.token(directory)
    assert asked(token) == 200
    assert not ApiToken.objects.exists()
    now = time.time()
    monkeypatch.setattr(owner_key.time, "time", lambda: now + owner_key.LIFETIME_S + 2)
    assert asked(token) == 401


def test_no_other_key_opens(db, directory, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    owner_key.make(other)
    stolen = owner_key.token(directory)
    until, _, signature = stolen.removeprefix(owner_key.PREFIX).partition(".")
    for token in (
        owner_key.token(other),
        stolen[:-1],
        stolen + "0",
        f"{owner_key.PREFIX}{int(until) + 1}.{signature}",
        f"{owner_key.PREFIX}.",
        owner_key.PREFIX,
        f"{owner_key.PREFIX}x.é",
    ):
        assert asked(token) == 401, token
    owner_key.make(directory)  # the server was started anew
    assert asked(stolen) == 401
    owner_key.forget(directory)
    assert asked(stolen) == 401


def test_who_was_shut_out_stays_out(db, directory, django_user_model):
    django_user_model.objects.create_user("admin", is_active=False)
    assert asked(owner_key.token(directory)) == 401


def test_the_shell_starts_without_django(tmp_path):
    script = (
        "import sys\n"
        "sys.argv = ['manage.py', 'ls', '--url', 'http://127.0.0.1:1', '--token', 't']\n"
        "import manage\n"
        "try:\n    manage.main()\n"
        "except SystemExit as ended:\n    assert ended.code == 1, ended.code\n"
        "heavy = {'django', 'celery', 'numpy', 'yaml', 'rich.live'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "cannot be reached" in answer.stderr
