"""What ``./autotune test`` takes, by what it is told: tried on a project of four small tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parents[1]
TESTS = """
import os
import pytest

def test_quick(request):
    assert request.node.get_closest_marker("timeout") is None

@pytest.mark.stack
def test_whole(request):
    assert request.node.get_closest_marker("timeout").args == (300,)

@pytest.mark.browser
@pytest.mark.timeout(7)
def test_page(request):
    assert request.node.get_closest_marker("timeout").args == (7,)

@pytest.mark.skipif("FLAKY" not in os.environ, reason="always right")
@pytest.mark.xdist_group("those")
def test_flaky():
    assert os.environ["FLAKY"] == "right"
"""
SETTINGS = """
[pytest]
testpaths = tests
addopts = -p tests.lanes -p no:django --strict-markers
markers =
    stack: s
    browser: b
    services: s
    cluster: c
    long: l
"""
LEFT_OUT = (
    "Left out: 2 tests that need the whole product as processes, Chromium, PostgreSQL and Redis,"
    " a Kubernetes control plane, a package index or much time. Everything: ./autotune test --all"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text(TESTS)
    (tmp_path / "tests" / "__init__.py").touch()
    (tmp_path / "tests" / "lanes.py").write_text((ROOT / "tests" / "lanes.py").read_text())
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    return tmp_path


def run(project: Path, *words: str, **env: str) -> tuple[int, list[str]]:
    """Exit code and the lines that were printed."""
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=project,
        env={**os.environ, "PYTEST_ADDOPTS": "", **env},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return answer.returncode, answer.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "passed", "left_out"),
    [
        ([], 1, True),
        (["-n", "2"], 1, True),  # each worker leaves them out; they are counted once
        (["-q", "--durations=3"], 1, True),
        (["--all"], 3, False),
        (["-n", "2", "--all"], 3, False),
        (["-n", "2", "--dist", "loadgroup"], 1, True),
        (["-n", "2", "--dist", "loadgroup", "--all"], 3, False),
        (["tests"], 3, False),
        (["-k", "whole"], 1, False),
        (["-m", "browser"], 1, False),
        (["tests/test_some.py::test_page"], 1, False),
    ],
)
def test_what_is_named_runs_and_what_is_left_out_is_said(
    project: Path, words: list[str], passed: int, left_out: bool
):
    code, lines = run(project, *words)
    assert code == 0
    assert f"{passed} passed" in lines[-1], "pytest's own line comes last"
    assert (LEFT_OUT in lines) == left_out


def test_what_passes_only_the_second_time_is_named(project: Path):
    code, lines = run(project, "--all", "-n", "2", "--dist", "loadgroup", FLAKY="wrong")
    assert code == 1
    assert any(line.startswith("FAILED tests/test_some.py::test_flaky -") for line in lines)
    code, lines = run(project, "--second-chance", FLAKY="right")
    assert code == 0
    assert "Needed a second chance: tests/test_some.py::test_flaky" in lines
    assert "1 passed" in lines[-1]
    code, lines = run(project, "--second-chance", FLAKY="right")
    assert code == 5, "nothing had failed: whatever made the first run fail is not mended by this"
