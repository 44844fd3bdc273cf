"""The one line that says why a program failed, out of what real ones print."""

from __future__ import annotations

import subprocess
import sys

import pytest

from experiments.training.last_words import LONGEST, with_last_words

TRACEBACK = """\
Traceback (most recent call last):
  File "/code/train.py", line 7, in <module>
    main()
  File "/code/train.py", line 3, in main
    raise ValueError("no such data set: mnist")
"""


def why(text: str) -> str:
    return with_last_words("exit code 1", text.encode())


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("", "exit code 1"),
        ("\n \n", "exit code 1"),
        ("epoch 3\nok\n", "exit code 1; last line: ok"),
        (f"{TRACEBACK}ValueError: no such data set: 7\n", ": ValueError: no such data set: 7"),
        # what is printed after it (atexit, loggers) is not the reason
        (f"{TRACEBACK}ValueError: bad\nok\nwandb: error syncing\n", ": ValueError: bad"),
        # a message of many lines
        (
            f"{TRACEBACK}ValueError: Failed to convert a NumPy array (Unsupported\n}}) with an "
            "unsupported type (<class 'NoneType'>) to a Tensor.\n",
            ": ValueError: Failed to convert a NumPy array (Unsupported",
        ),
        (f"{TRACEBACK}RuntimeError:\n  CUDA went away\n", ": RuntimeError: CUDA went away"),
        # chained: the last one ended the program
        (
            f"{TRACEBACK}KeyError: 'lr'\n\nDuring handling of the above exception, another "
            f"exception occurred:\n\n{TRACEBACK}my.app.Odd: lr is missing\n",
            ": my.app.Odd: lr is missing",
        ),
        (
            "".join(f"[rank0]: {line}\n" for line in f"{TRACEBACK}ValueError: x".splitlines()),
            ": ValueError: x",
        ),
        # launchers tell that their worker failed, not why
        (
            "".join(f"[rank0]: {line}\n" for line in f"{TRACEBACK}ValueError: x".splitlines())
            + f"{TRACEBACK}torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
            "============\ntrain.py FAILED\n------------\n",
            ": ValueError: x",
        ),
        (f"{TRACEBACK}KeyError: 1\n{TRACEBACK}subprocess.CalledProcessError: Command 'x' "
         "returned non-zero exit status 1.\n", ": KeyError: 1"),
        (f"{TRACEBACK}errors.ChildFailedError: \n======\ntrain.py FAILED\n------\n",
         ": errors.ChildFailedError: train.py FAILED"),
        # told of on the way out, and what such an exception came of
        (f"{TRACEBACK}ValueError: x\nError in atexit._run_exitfuncs:\n{TRACEBACK}OSError: y\n",
         ": ValueError: x"),
        (
            f"{TRACEBACK}ValueError: x\nException ignored in: <function f at 0x1>\n{TRACEBACK}"
            "KeyError: 1\n\nDuring handling of the above exception, another exception occurred:"
            f"\n\n{TRACEBACK}TypeError: y\n",
            ": ValueError: x",
        ),
        (f"Exception in thread Thread-1 (f):\n{TRACEBACK}OSError: y\n", ": OSError: y"),
        # colours, progress bars
        (f"{TRACEBACK}\x1b[1;31mValueError\x1b[0m: \x1b[35mbad\x1b[0m\n", ": ValueError: bad"),
        ("  0%|   |\r 50%|#  |\r100%|###|\n", "; last line: 100%|###|"),
        ('  File "x.py", line 1\n    f(\n     ^\nSyntaxError: \'(\' was never closed\n',
         ": SyntaxError: '(' was never closed"),
        # a traceback whose head is no longer there
        ("    f()\ntorch.cuda.OutOfMemoryError: CUDA out of memory.\ndone\n",
         ": torch.cuda.OutOfMemoryError: CUDA out of memory."),
        # no Python at all
        ("x.sh: line 3: foo: command not found\ncleaning up\n",
         ": x.sh: line 3: foo: command not found"),
        ("error: unrecognized arguments: --lr\n", ": error: unrecognized arguments: --lr"),
    ],
)  # fmt: skip
def test_the_exception_before_any_error_before_the_last_line(printed: str, expected: str) -> None:
    assert why(printed) == (expected if expected.startswith("exit") else f"exit code 1{expected}")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise KeyError('lr')", "KeyError: 'lr'"),
        (
            "import atexit; atexit.register(print, 'bye'); 1/0",
            "ZeroDivisionError: division by zero",
        ),
        ("class Odd(Exception): pass\nraise Odd", "Odd"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "raise ExceptionGroup('two', [ValueError('a'), TypeError('b')])",
            "ExceptionGroup: two (2 sub-exceptions)",
        ),
        ("import sys; sys.exit('the data is missing')", "the data is missing"),
    ],
)
def test_what_this_python_prints_is_understood(code: str, expected: str) -> None:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert with_last_words("exit code 1", ran.stderr + ran.stdout).endswith(expected)


def test_a_line_without_end_is_cut() -> None:
    assert len(why("fatal: " + "x" * 10_000)) <= LONGEST + len("exit code 1: ")
