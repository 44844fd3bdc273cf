"""The wheel in fresh environments: oldest and newest dependencies, on each Python that is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.base_manifest import base_manifest
from tests.e2e.stack import ROOT, Stack, environment, manage
from tests.e2e.test_last_release import runs_on
from tests.groups import need
from tests.loop.test_last_release import unpack

pytestmark = [
    pytest.mark.stack,
    pytest.mark.install,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("install"),
]

UV = Path(sys.executable).with_name("uv")
# Name of an environment, and the interpreters to make it with, best first.
PYTHONS = {"oldest": ("3.11",), "newest": ("3.13", "3.12", "3.11"), "middle": ("3.12", "3.11")}
# Says what a program of the environment would find, then does what trials do.
TRIAL = """
import importlib.util, sys
import autotune_trial
for name in ("experiments", "autotune_web", "manage", "tests", "templates"):
    assert importlib.util.find_spec(name) is None, name
print("trial of", sys.version_info[:2], sys.prefix)
x = autotune_trial.get_parameters()["x"]
for step in range(3):
    autotune_trial.report(x * step, step=step)
autotune_trial.report_final(x)
"""


def uv(*argv: str, **env: str) -> str:
    answer = subprocess.run(
        [str(UV), *argv],
        env={**os.environ, **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    if answer.returncode and re.search("dns|connect|network", answer.stderr, re.IGNORECASE):
        need("install", False, f"A package index ({answer.stderr.strip().splitlines()[-1]})")
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def python_of(version: str) -> str | None:
    """An interpreter of this version on this machine; None where there is none."""
    found = subprocess.run(
        [str(UV), "python", "find", "--no-python-downloads", "--system", version],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return found.stdout.strip() or None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the source distribution, as a package index would get them."""
    out = tmp_path_factory.mktemp("dist")
    uv("build", "--out-dir", str(out), str(ROOT))
    (found,) = out.glob("*.whl")
    assert list(out.glob("autotune_web-*.tar.gz"))
    return found


def test_it_brings_two_packages_and_all_that_the_pages_need(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {
        "autotune_bundle",
        "autotune_client",
        "autotune_web",  # .dist-info
    }
    ours = ("autotune_bundle/", "autotune_client/")
    assert all(name.startswith(ours) or ".dist-info/" in name for name in names)
    assert "autotune_client/study.py" in names
    inside = {name.removeprefix("autotune_bundle/files/") for name in names}
    tracked = subprocess.run(
        ["git", "ls-files", "autotune_web", "experiments", "templates", "static", "locale"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.split()
    # A link to a folder goes in as what is behind it.
    links = {name for name in tracked if (ROOT / name).is_symlink()}
    assert {name for name in tracked if not name.endswith(".po")} - links <= inside
    assert links == {"experiments/training/client/autotune_client"}
    client = {path.name for path in (ROOT / "autotune_client").glob("*.py")}
    assert {f"{link}/{name}" for link in links for name in client} <= inside
    assert not [name for name in inside if name.startswith(("tests", "benchmarks", "node_modules"))]
    assert wheel.stat().st_size < 3_000_000  # bytes; third-party files come from their own packages


def install(wheel: Path, directory: Path, ends: str) -> Path:
    """A fresh environment with the wheel; returns its ``autotune``."""
    python = next(filter(None, map(python_of, PYTHONS[ends])))
    place = directory / "environment"
    uv("venv", "--python", python, str(place))
    if ends == "oldest":
        oldest = ("pip", "install", "--resolution", "lowest-direct", "-r", "pyproject.toml")
        uv(*oldest, VIRTUAL_ENV=str(place))
        uv("pip", "install", "--no-deps", str(wheel), VIRTUAL_ENV=str(place))
    else:
        uv("pip", "install", str(wheel), VIRTUAL_ENV=str(place))
    uv("pip", "check", VIRTUAL_ENV=str(place))
    return place / "bin" / "autotune"


@pytest.fixture(scope="module", params=PYTHONS)
def autotune(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return install(wheel, tmp_path_factory.mktemp(request.param), request.param)


both_ends = pytest.mark.parametrize("autotune", ["oldest", "newest"], indirect=True)


def shell(autotune: Path, **more: str) -> dict[str, str]:
    """The environment of a user who has activated that environment."""
    path = f"{autotune.parent}:{os.environ['PATH']}"
    return {"VIRTUAL_ENV": str(autotune.parents[1]), "PATH": path, **more}


def test_it_runs_an_experiment_in_a_user_s_environment(autotune: Path, tmp_path: Path):
    script = tmp_path / "train.py"
    script.write_text(TRIAL)
    path = tmp_path / "experiment.yaml"
    path.write_text(json.dumps(base_manifest("quick", ["python3", str(script)], maxTrialNum=3)))
    env = environment(tmp_path, **shell(autotune, XDG_DATA_HOME=str(tmp_path / "share")))
    del env["AUTOTUNE_DATA"]
    answer = subprocess.run(
        [str(autotune), "run", str(path), "--json"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert [trial["state"] for trial in json.loads(answer.stdout)["trials"]] == ["SUCCEEDED"] * 3
    data = tmp_path / "share" / "autotune"
    assert (data / "autotune.sqlite3").stat().st_mode & 0o077 == 0
    logs = "".join(log.read_text() for log in data.glob("trials/**/*.log"))
    assert str(autotune.parents[1]) in logs  # trials are of the environment that is active


@both_ends
def test_its_pages_are_whole(autotune: Path, tmp_path: Path, chromium: Browser):
    stack = Stack(tmp_path / "data", **shell(autotune))
    stack.autotune, stack.root = [str(autotune)], tmp_path
    trouble: list[str] = []
    try:
        stack.start("--no-sample")
        assert stack.wait_for_phase(stack.create(maxTrialNum=2), "DONE")
        listed = manage(stack.data, "ls", "--json", autotune=stack.autotune, **shell(autotune))
        assert [each["phase"] for each in json.loads(listed.stdout)] == ["DONE"], listed.stderr
        words = manage(stack.data, "test", autotune=stack.autotune, **shell(autotune))
        assert (words.returncode, words.stderr.count("\nautotune ls ")) == (2, 1), "of clones only"
        page = chromium.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("response", lambda got: got.status >= 400 and trouble.append(got.url))
        page.goto(stack.link)
        page.get_by_role("link", name="quick").first.click()
        expect(page.locator("#phase [data-phase=DONE]")).to_be_visible()
        expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
        page.goto(stack.url + "/experiments/new/")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.goto(stack.url + "/api/docs/")
        page.close()
    finally:
        stack.stop()
        stack.end_trials()
    assert trouble == []


@both_ends
def test_a_data_directory_of_the_last_release_goes_on(autotune: Path, tmp_path: Path):
    data = unpack(tmp_path)
    stack = Stack(data, **shell(autotune))
    stack.autotune, stack.root = [str(autotune)], tmp_path
    runs_on(stack, data)


@pytest.mark.parametrize("autotune", ["newest"], indirect=True)
@pytest.mark.parametrize(
    ("words", "env", "extra"),
    [
        (["up"], {"AUTOTUNE_TRAINING_ENGINE": "batch"}, "kubernetes"),
        (["manage", "operator"], {}, "kubernetes"),
        (["up"], {"DATABASE_URL": "postgresql://me@127.0.0.1:1/none"}, "postgres"),
        (["up"], {"REDIS_URL": "redis://127.0.0.1:1"}, "redis"),
    ],
)
def test_what_an_extra_brings_is_asked_for_by_name(autotune, words, env, extra, tmp_path):
    answer = manage(tmp_path, *words, autotune=[str(autotune)], **env)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1, answer.stderr
    assert f"pip install 'autotune-web[{extra}]'" in answer.stderr
