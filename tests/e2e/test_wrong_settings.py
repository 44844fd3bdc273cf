"""Settings and arguments that cannot be: one line that says what must hold, never a traceback."""

from __future__ import annotations

import socket
import sqlite3

import pytest

from tests.e2e.stack import manage

pytestmark = pytest.mark.stack


def refusal(answer) -> str:
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    return answer.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AUTOTUNE_TRAINING_ENGINE", "foo", "must be one of local, trainer"),
        ("AUTOTUNE_GPUS", "0,-1", "must be numbers of GPUs, each once, like 0,1,3"),
        ("AUTOTUNE_DEBUG", "maybe", "must be one of 1, 0, true"),
        ("AUTOTUNE_LOG_LEVEL", "loud", "must be one of DEBUG, INFO"),
        ("DATABASE_URL", "foo://me:hidden@host/name", "must be postgresql://"),
        ("DATABASE_URL", "mysql://me:hidden@host/name", "must be postgresql://"),
        ("REDIS_URL", "localhost:6379", "must start with redis://"),
    ],
)
def test_a_wrong_value_in_the_environment_is_named(name, value, words, tmp_path):
    said = refusal(manage(tmp_path, "up", "--port", "0", **{name: value}))
    assert f"{name} {words}" in said
    assert "hidden" not in said


@pytest.mark.parametrize("directory", ["/proc/nowhere", "/dev/null"])
def test_a_data_directory_that_cannot_be_made_is_named(directory, tmp_path):
    said = refusal(manage(tmp_path, "up", "--data", directory))
    assert directory in said
    assert "--data" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "99999"], "must be from 1 to 65535, but got 99999"),
        (["--port", "-1"], "must be from 1 to 65535, but got -1"),
        (["--host", "nowhere.invalid"], "--host nowhere.invalid must be an address"),
        (["--host", "192.0.2.1"], "cannot be served"),
    ],
)
def test_an_address_that_cannot_be_served_is_said_with_the_reason(arguments, words, tmp_path):
    assert words in refusal(manage(tmp_path, "up", "--no-sample", *arguments))


def test_a_taken_port_is_said(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = refusal(manage(tmp_path, "up", "--no-sample", "--port", port))
    assert f"Port {port} on 127.0.0.1 is taken" in said


def test_a_token_for_a_directory_that_was_never_served_is_refused(tmp_path):
    said = refusal(manage(tmp_path / "other", "token"))
    assert str(tmp_path / "other") in said
    assert "--data" in said


def test_every_command_takes_the_data_directory_whatever_its_name(tmp_path):
    strange = tmp_path / "50%41 of? #1"
    assert manage(tmp_path / "unused", "migrate", "--data", str(strange)).returncode == 0
    with sqlite3.connect(strange / "autotune.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM experiments_experiment").fetchone() == (0,)
    answer = manage(tmp_path / "unused", "token", f"--data={strange}")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("at_")
    assert not (tmp_path / "unused").exists()


def test_what_is_kept_is_closed_to_other_users_of_the_machine(tmp_path):
    data = tmp_path / "new" / "data"
    assert manage(data, "migrate").returncode == 0
    assert data.stat().st_mode & 0o777 == 0o700, "the database holds sessions"
    for name in ("secret_key", "autotune.sqlite3"):  # even where the directory is open
        assert (data / name).stat().st_mode & 0o777 == 0o600
    assert len((data / "secret_key").read_text()) == 64
    assert [path.name for path in data.glob("secret_key*")] == ["secret_key"]
