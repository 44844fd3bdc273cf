"""Whose ``python3`` a local trial runs, and what is known of it before."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.manifest.local_spec import LocalSpec
from experiments.training.base import JobState, LaunchError
from experiments.training.local import interpreter
from experiments.training.local.backend import LocalBackend
from experiments.training.local.interpreter import (
    Answer,
    Needs,
    ask,
    imports_of,
    named,
    trial_path,
)
from tests.training.conftest import CLIENT_DIR, Jobs, task

WHO = "import sys; print(sys.prefix, sys.argv[1:])"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of somebody who has installed nothing."""
    folder = tmp_path_factory.mktemp("home") / "my env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


@pytest.fixture(autouse=True)
def ask_again() -> None:
    interpreter._kept.clear()


def started_in(environment: Path, root: Path, **more: str) -> Jobs:
    """Jobs of an AutoTune that was started where this environment is active."""
    jobs = Jobs(root)
    path = f"{environment}/bin:/usr/local/bin:/usr/bin:/bin"
    inherited = {"PATH": path, "VIRTUAL_ENV": str(environment), **more}
    jobs.backend = LocalBackend(
        root,
        CLIENT_DIR,
        search_path=trial_path(inherited, folder=root / "python"),
        inherited=inherited,
        own_code=root / "examples",
        slots=root.parent / "slots",
    )
    return jobs


def test_python3_is_that_of_the_environment_autotune_was_started_in(
    bare: Path, tmp_path: Path
) -> None:
    jobs = started_in(bare, tmp_path)
    for word in ("python", "python3"):
        handle = jobs.start([word, "-c", f"{WHO}; import autotune_trial; print('found')"])
        assert jobs.end(handle).message == ""
        assert jobs.log(handle) == f"{bare} []\nfound\n"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PATH": "/usr/bin"}, ""),
        ({"PATH": "{env}/bin:/usr/bin", "VIRTUAL_ENV": "{env}"}, ""),
        ({"PATH": "{env}/bin:/usr/bin", "CONDA_PREFIX": "{env}"}, ""),
        # set by an editor, say, without its programs on PATH
        ({"PATH": "/usr/bin", "VIRTUAL_ENV": "{env}"}, "{env}/bin"),
        ({"PATH": "/usr/bin", "CONDA_PREFIX": "{env}"}, "{env}/bin"),
        # conda's base is always active; what was activated last is first on PATH
        ({"PATH": "/c/bin:{env}/bin", "VIRTUAL_ENV": "{env}", "CONDA_PREFIX": "/c"}, ""),
        # one that is gone
        ({"PATH": "/usr/bin", "VIRTUAL_ENV": "/nowhere"}, ""),
        # uvx puts AutoTune's own before the shell's; uv run is in a project's, which is active
        ({"PATH": "/ours/bin:/usr/bin:/bin", "UV": "/uv"}, "/usr/bin:/bin"),
        ({"PATH": "/ours/bin:{env}/bin:/b", "UV": "/uv", "VIRTUAL_ENV": "{env}"}, "{env}/bin:/b"),
        ({"PATH": "/ours/bin:/b", "UV": "/uv", "VIRTUAL_ENV": "{env}"}, "{env}/bin:/b"),
        ({"PATH": "/ours/bin:/b", "UV": "/uv", "VIRTUAL_ENV": "/ours"}, ""),
    ],
)
def test_where_programs_are_looked_up(
    bare: Path, tmp_path: Path, environment: dict[str, str], expected: str
) -> None:
    environment = {name: value.format(env=bare) for name, value in environment.items()}
    found = trial_path(environment, folder=tmp_path, prefix="/ours")
    assert found == expected.format(env=bare)


def test_an_interpreter_that_is_named_comes_before_the_active_one(
    bare: Path, tmp_path: Path
) -> None:
    active = {"PATH": "/usr/bin", "VIRTUAL_ENV": str(bare)}
    named = trial_path(active, python=sys.executable, given=["/opt/tools"], folder=tmp_path)
    assert named == f"{os.path.dirname(sys.executable)}:/opt/tools"


def test_a_named_interpreter_is_python3_whatever_lies_beside_it(bare: Path, tmp_path: Path) -> None:
    odd = bare / "bin" / "python-odd"
    odd.symlink_to(bare / "bin" / "python")
    other = tmp_path / "bin"
    other.mkdir()
    (other / "python3").write_text("#!/bin/sh\necho wrong\n")
    (other / "python3").chmod(0o755)
    (other / "python-mine").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    path = trial_path({}, python=str(other / "python-mine"), folder=tmp_path / "ways")
    jobs = Jobs(tmp_path / "trials")
    jobs.backend = LocalBackend(
        tmp_path / "trials", CLIENT_DIR, search_path=path, slots=tmp_path / "slots"
    )
    for word in ("python", "python3"):
        handle = jobs.start(["sh", "-c", f'{word} -c "{WHO}" "two words"'])
        assert jobs.end(handle).message == ""
        assert jobs.log(handle).strip().endswith("['two words']")


def test_no_python_is_not_replaced_by_ours(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    jobs.backend = LocalBackend(
        tmp_path, CLIENT_DIR, inherited={"PATH": "/nowhere"}, slots=tmp_path / "slots"
    )
    with pytest.raises(LaunchError, match=r"command not found: python3 \(start AutoTune where"):
        jobs.launch(jobs.describe(task(["python3", "-c", "1"])))


# ---- what a command imports

SCRIPT = '''
"""A script."""
from __future__ import annotations
import os, numpy.linalg as la
import mine
from torch import nn
from . import sibling
try:
    import orjson
except ImportError:
    orjson = None
if False:
    import never
def later():
    import inside
'''


@pytest.mark.parametrize(
    ("argv", "modules"),
    [
        (["python3", "train.py", "--lr", "1"], "__future__ os numpy mine torch"),
        (["python3", "-u", "-W", "error", "train.py"], "__future__ os numpy mine torch"),
        (["python3", "-m", "torch.distributed.run", "train.py"], "torch"),
        (["python3", "-c", "import a.b; from c import d"], "a c"),
        (["python3", "no-such.py"], ""),
        (["python3", "broken.py"], ""),
        (["python3"], ""),
    ],
)
def test_the_imports_of_a_command(tmp_path: Path, argv: list[str], modules: str) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "broken.py").write_text("import x\n)(")
    assert imports_of(argv, str(tmp_path)).modules == tuple(modules.split())


def test_an_interpreter_says_what_it_lacks_and_runs_nothing(bare: Path, tmp_path: Path) -> None:
    for name in ("mine.py", "json.py", "sys.py", "importlib.py", "sitecustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('it was run')")
    needs = Needs(("os", "mine", "numpy", "sys", "no_such"), (str(tmp_path),), str(tmp_path))
    answer = ask(str(bare / "bin" / "python"), needs, {})
    assert answer.missing == ("numpy", "no_such")
    assert answer.prefix == str(bare)
    assert answer.version.split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert ask(sys.executable, needs, {}).missing == ("no_such",)


def test_an_interpreter_that_does_not_answer_is_left_in_peace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "ASK_WITHIN_S", 0.2)
    slow = tmp_path / "python3"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    began = time.monotonic()
    assert ask(str(slow), Needs(), {"PATH": "/usr/bin:/bin"}) == Answer()
    assert ask(str(tmp_path / "none"), Needs(), {}) == Answer()
    assert time.monotonic() - began < 5


# ---- told before a trial starts


def test_the_interpreter_and_what_it_lacks_are_foretold(bare: Path, tmp_path: Path) -> None:
    jobs = started_in(bare, tmp_path / "trials")
    (tmp_path / "train.py").write_text("import numpy, helper, autotune_trial, json\n")
    (tmp_path / "helper.py").write_text("")
    launch = jobs.describe(task(["python3", "train.py"], replicas=3, workingDir=str(tmp_path)))
    (program,) = jobs.backend.programs(launch)
    assert program.path == "spec.trainingConfig.tasks[0].template.spec.containers[0].command[0]"
    assert program.executable == f"{bare}/bin/python3"
    assert program.missing == ("numpy",)
    assert program.sentence().startswith(f"python3 is {bare}/bin/python3 (Python 3.")


def test_who_chooses_by_the_folder_is_asked_there_and_named(tmp_path: Path) -> None:
    """As pyenv's shims do: a script on PATH that starts what the project's folder asks for."""
    shims, project = tmp_path / "shims", tmp_path / "project"
    shims.mkdir()
    project.mkdir()
    (project / ".python-version").write_text(sys.executable)
    (project / "train.py").write_text("import no_such_module\n")
    (shims / "python3").write_text(
        '#!/bin/sh\nexec "$(cat .python-version || echo /usr/bin/false)" "$@"\n'
    )
    (shims / "python3").chmod(0o755)
    jobs = Jobs(tmp_path / "trials")
    inherited = {"PATH": f"{shims}:/usr/bin:/bin"}
    jobs.backend = LocalBackend(
        tmp_path / "trials", CLIENT_DIR, inherited=inherited, slots=tmp_path / "slots"
    )
    launch = jobs.describe(task(["python3", "train.py"], workingDir=str(project)))
    (program,) = jobs.backend.programs(launch)
    assert program.missing == ("no_such_module",)
    assert program.executable == sys.executable


def test_nothing_that_a_manifest_names_is_run_to_foretell_it(bare: Path, tmp_path: Path) -> None:
    jobs = started_in(bare, tmp_path / "trials")
    trap = tmp_path / "trap"
    trap.mkdir()
    sprung = tmp_path / "sprung"
    (trap / "python3").write_text(f"#!/bin/sh\ntouch {sprung}\n")
    (trap / "python3").chmod(0o755)
    (trap / "sitecustomize.py").write_text(f"open({str(sprung)!r}, 'w')")
    examples = tmp_path / "trials" / "examples"
    examples.mkdir(parents=True)
    for env in (
        {"name": "PATH", "value": str(trap)},
        {"name": "PYTHONPATH", "value": str(trap)},
    ):
        for place in ({}, {"workingDir": str(examples)}):
            asks = task(["python3", "-c", "import numpy"], env=[env], **place)
            jobs.backend.programs(jobs.describe(asks))
            jobs.backend.forecast(jobs.describe(asks))
    own = LocalSpec(python=str(trap / "python3"))
    jobs.backend.programs(jobs.describe(task(["python3", "x.py"]), local=own))
    jobs.backend.programs(jobs.describe(task([str(trap / "python3"), "x.py"])))
    assert not sprung.exists()


def test_other_programs_are_named_without_a_version(bare: Path, tmp_path: Path) -> None:
    jobs = started_in(bare, tmp_path)
    (program,) = jobs.backend.programs(jobs.describe(task(["sh", "-c", "true"])))
    assert (program.word, program.version, program.missing) == ("sh", "", ())
    assert jobs.backend.programs(jobs.describe(task(["no-such-program"]))) == ()


# ---- our examples


@pytest.mark.long
def test_an_example_runs_with_our_own_python_where_the_users_lacks_what_it_needs(
    bare: Path, tmp_path: Path
) -> None:
    jobs = started_in(bare, tmp_path)
    examples, other = tmp_path / "examples", tmp_path / "other"
    for folder in (examples, other):
        folder.mkdir()
        (folder / "rich.py").write_text(f"import numpy\n{WHO}")
        (folder / "plain.py").write_text(f"import json\n{WHO}")
    ran = {}
    for folder in (examples, other):
        for script in ("rich.py", "plain.py"):
            launch = jobs.describe(task(["python3", script], workingDir=str(folder)))
            handle = jobs.launch(launch)
            state = jobs.end(handle).state
            where = jobs.log(handle).split(" []")[0] if state is JobState.SUCCEEDED else "failed"
            (program,) = jobs.backend.programs(launch)
            assert program.is_ours == (where == sys.prefix)
            ran[folder.name, script] = where
    assert ran == {
        ("examples", "rich.py"): sys.prefix,
        ("examples", "plain.py"): str(bare),
        ("other", "rich.py"): "failed",
        ("other", "plain.py"): str(bare),
    }


# ---- one that a manifest names


@pytest.fixture
def conda(tmp_path: Path) -> Path:
    """A home with conda's folders: an environment ``mine``, and one in its list elsewhere."""
    for place in ("miniforge3", "miniforge3/envs/mine", "elsewhere/listed"):
        (tmp_path / place / "bin").mkdir(parents=True)
        (tmp_path / place / "bin" / "python3").symlink_to(sys.executable)
    (tmp_path / ".conda").mkdir()
    listed = tmp_path / "elsewhere" / "listed"
    (tmp_path / ".conda" / "environments.txt").write_text(f"/gone/listed\n{listed}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mine", "miniforge3/envs/mine/bin/python3"),
        ("base", "miniforge3/bin/python3"),
        ("listed", "elsewhere/listed/bin/python3"),
        ("{home}/elsewhere/listed", "elsewhere/listed/bin/python3"),
        ("{home}/elsewhere/listed/bin/python3", "elsewhere/listed/bin/python3"),
        ("nobody", ""),
        ("elsewhere/listed", ""),
        ("{home}/.conda/environments.txt", ""),
    ],
)
def test_an_interpreter_is_named_by_path_or_conda_environment(
    conda: Path, name: str, place: str
) -> None:
    found = named(name.format(home=conda), {"HOME": str(conda), "PATH": "/nowhere"})
    assert found == (str(conda / place) if place else "")


def test_a_manifests_own_interpreter_is_the_python_of_its_trials(
    jobs: Jobs, tmp_path: Path
) -> None:
    script = tmp_path / "bin" / "some-python"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho by-name\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    for word in ("python", "python3"):
        described = jobs.describe(
            task([word, "-S", "-c", "print(1)"]), local=LocalSpec(python=str(script))
        )
        jobs.said(jobs.launch(described), "by-name\n1\n")
    lacking = jobs.describe(task(["python3"]), local=LocalSpec(python="nobody"))
    with pytest.raises(LaunchError, match=r"spec\.local\.python: there is neither"):
        jobs.launch(lacking)
    ((path, words),) = jobs.backend.forecast(lacking)
    assert (path, "'nobody'" in words) == ("spec.local.python", True)
