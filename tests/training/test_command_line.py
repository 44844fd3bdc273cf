"""Which Python a command line comes to: what pre-flight asks about missing modules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments.training.local.command_line import Call, python_of, text_of

TORCHRUN = "#!/opt/env/bin/python3.11\nimport sys\n"
SPACED = "#!/bin/sh\n'''exec' \"/opt/my env/bin/python\" \"$0\" \"$@\"\n' '''\n"
RUN = """#!/bin/bash
# Train.
set -euo pipefail
cd "$(dirname "$0")/src/.."
export OMP_NUM_THREADS=2
mkdir -p out
exec python3 -u train.py \\
    --lr 0.1 "$@" > out/log 2>&1
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    files = {
        "train.py": "#!/usr/bin/env python3\nimport torch\n",
        "src/train.py": "import torch\n",
        "run.sh": RUN,
        "sub/run.sh": "cd ..\nPYTHONPATH=src:$PYTHONPATH python train.py\n",
        "bin/torchrun": TORCHRUN,
        "bin/accelerate": SPACED,
        "bin/other": "#!/bin/sh\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def came_to(home: Path, *argv: str) -> Call | None:
    def look_up(word: str, cwd: str) -> str:
        if "/" in word:
            path = os.path.join(cwd, word)
            return path if os.path.exists(path) else ""
        return str(home / "bin" / word)

    return python_of(argv, str(home), look_up, "/given")


@pytest.mark.parametrize(
    ("argv", "word", "words", "cwd"),
    [
        ("python3 train.py --lr 1", "python3", "python3 train.py --lr 1", ""),
        ("/usr/bin/env A=1 python3 train.py", "python3", "python3 train.py", ""),
        ("env A=1 B=2 nice -n 5 python -m mine", "python", "python -m mine", ""),
        ("timeout -k 5 1h python train.py", "python", "python train.py", ""),
        ("stdbuf -oL python train.py", "python", "python train.py", ""),
        ("mpirun -np 2 --host a,b python train.py", "python", "python train.py", ""),
        ("./train.py --lr 1", "python3", "python3 ./train.py --lr 1", ""),
        ("torchrun --nproc-per-node 2 train.py --lr 1", "torchrun", "* train.py --lr 1", ""),
        ("torchrun --standalone -m mine.train", "torchrun", "* -m mine.train", ""),
        ("bash run.sh", "python3", "python3 -u train.py --lr 0.1 $@", "."),
        ("./run.sh", "python3", "python3 -u train.py --lr 0.1 $@", "."),
        ("sh -e sub/run.sh", "python", "python train.py", ".."),
        ("sh -c python3~train.py", "python3", "python3 train.py", ""),
        ("bash -euc cd~src&&python~train.py", "python", "python train.py", "src"),
        ("bash -o pipefail -c python~a.py|cat", "python", "python a.py", ""),
    ],
)
def test_the_python_that_a_command_comes_to(
    home: Path, argv: str, word: str, words: str, cwd: str
) -> None:
    given = [each.replace("~", " ") for each in argv.split(" ")]
    found = came_to(home, *given)
    assert found is not None
    said = [each.replace(f"{home}/", "") for each in found.words]
    wanted = words.replace("*", found.executable).split(" ")
    assert (found.word, [each.replace("././", "./") for each in said]) == (word, wanted)
    assert os.path.realpath(found.cwd) == os.path.realpath(home / cwd)


def test_a_launcher_runs_with_the_interpreter_that_its_first_line_names(home: Path) -> None:
    for launcher, interpreter in (
        (["torchrun"], "/opt/env/bin/python3.11"),
        (["accelerate", "launch"], "/opt/my env/bin/python"),
    ):
        found = came_to(home, *launcher, "train.py")
        assert found is not None
        assert (found.executable, found.words[1:]) == (interpreter, ("train.py",))


def test_the_path_that_a_shell_sets_counts(home: Path) -> None:
    for text, path in (
        ("PYTHONPATH=src python train.py", "src"),
        ("export PYTHONPATH=src:$PYTHONPATH; python train.py", "src:/given"),
        ("python train.py", "/given"),
    ):
        found = came_to(home, "sh", "-c", text)
        assert found is not None
        assert found.python_path == path


@pytest.mark.parametrize(
    "text",
    [
        "source venv/bin/activate && python train.py",
        ". venv/bin/activate; python train.py",
        "conda activate mine\npython train.py",
        "pip install -r requirements.txt && python train.py",
        "PATH=/other/bin:$PATH python train.py",
        "export PATH=/other/bin; python train.py",
        "if true; then python train.py; fi",
        "$PYTHON train.py",
        "cd $HOME && python train.py",
        "for n in 1 2; do python train.py; done",
        "(python train.py)",
        "eval python train.py",
        "env -i python train.py",
        "python 'train",
        "",
    ],
)
def test_where_it_is_not_sure_nothing_is_said(home: Path, text: str) -> None:
    assert came_to(home, "bash", "-c", text) is None


@pytest.mark.parametrize(
    "argv",
    [
        ["bash", "-lc", "python train.py"],  # its profile may set PATH
        ["bash", "--login", "run.sh"],
        ["bash"],
        ["sh", "-c"],
        ["sh", "no-such.sh"],
        ["env"],
        ["timeout"],
        ["./no-such.py"],
        ["torchrun\0"],
        ["other", "train.py"],
        ["env", *["env"] * 20, "python3", "train.py"],
    ],
)
def test_what_is_no_python_is_none(home: Path, argv: list[str]) -> None:
    assert came_to(home, *argv) is None


def test_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "none"):
        assert text_of(str(path)) == b""
    assert text_of("no\0such") == b""
    with (tmp_path / "pipe").open("r+b", buffering=0) as pipe:
        pipe.write(b"import torch\n")
        assert text_of(str(tmp_path / "pipe")) == b"", "what is in it is for somebody else"
        assert pipe.read(100) == b"import torch\n"
