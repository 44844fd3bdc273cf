"""Commands of the shell in this process, on the tests' own database: what runs without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from experiments.rest import inside
from experiments.shell import language, main
from experiments.shell.server import WithoutServer


class Told(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Shell = Callable[..., Told]


@pytest.fixture
def shell(db: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Do a command; whatever it prints, and its exit code."""
    for name in ("AUTOTUNE_URL", "AUTOTUNE_TOKEN", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    language.code.cache_clear()
    language._catalogue.cache_clear()

    def do(*words: str) -> Told:
        try:
            code = main.run(words, WithoutServer(lambda: inside.ask, lambda url, path: url + path))
        except SystemExit as ended:  # argparse's
            code = int(ended.code or 0)
        return Told(code, *capfd.readouterr())

    return do
