"""The page of the server's own logs: ends of files, without secrets, and no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from experiments.web import server_logs


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    there = tmp_path / "logs"
    there.mkdir()
    return there


def test_each_log_is_shown_without_secrets_and_as_text(client: Client, folder: Path) -> None:
    (folder / "web.log").write_text("GET /sign-in/abcdefghijklmnopqrstuvwxyz\n<b>odd</b>\n")
    (folder / "worker.log").write_text("worker says\n")
    page = client.get("/server-logs/").content.decode()
    assert "/sign-in/***" in page
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert "worker says" not in page
    assert "worker says" in client.get("/server-logs/?name=worker").content.decode()
    saved = client.get("/server-logs/?name=web&download=1")
    assert saved["Content-Disposition"] == 'attachment; filename="autotune-web.log"'
    assert saved.content.decode() == "GET /sign-in/***\n<b>odd</b>\n"


def test_of_a_long_one_the_end_is_shown_from_a_whole_line(client: Client, folder: Path) -> None:
    lines = [f"line {n} {'x' * 90}\n" for n in range(2000)]
    (folder / "web.log").write_text("".join(lines))
    page = client.get("/server-logs/").content.decode()
    assert "line 1999" in page
    assert "line 0 x" not in page
    shown = page[page.index("<pre>") :].split("\n")
    assert shown[1].startswith("line ")
    assert len(client.get("/server-logs/?name=web&download=1").content) == sum(map(len, lines))
    assert sum(map(len, lines)) > server_logs.SHOWN


def test_nothing_else_is_shown(client: Client, folder: Path, stranger: Client) -> None:
    assert "no-server-logs" in client.get("/server-logs/").content.decode()
    (folder.parent / "secret.log").write_text("key")
    (folder / "link.log").symlink_to(folder.parent / "secret.log")
    for name in ("link", "../secret", "nothing", "web\0"):
        assert client.get("/server-logs/", {"name": name}).status_code == 404, name
    assert stranger.get("/server-logs/").status_code == 302
