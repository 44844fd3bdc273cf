"""Files from the net that would break whoever converts them: refused, quickly, with a reason."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command

from experiments.problems import ProblemsError
from tests.convert.given import KATIB, NNI_2, converted, left_of, refused, spec_of


@pytest.mark.parametrize(
    "attributes",
    [
        {"low": 0, "high": 10**13, "step": 2},  # more values than there is memory for
        {"low": 0, "high": 5, "step": "x"},
        {"low": 0, "high": 5, "step": 0.5},
    ],
)
def test_steps_of_optuna_are_counted_before_they_are_made(attributes: dict[str, object]) -> None:
    text = json.dumps({"n": {"name": "IntDistribution", "attributes": attributes}})
    assert "with these attributes is not known" in refused(text, "space.json")[0].message


def test_what_a_python_file_asks_for_is_bounded_and_never_dropped_in_silence() -> None:
    calls = (
        'trial.suggest_int("huge", 0, 10**0 + 1, step=2)\n'  # no literal
        f'trial.suggest_int("many", 0, {10**13}, step=2)\n'
        'trial.suggest_int("inf", 1, 1e400)\n'
        'trial.suggest_float("odd", 1, 2, step=1j)\n'
        'trial.suggest_float("lr", 0, 1)\n'
    )
    found = converted(calls, "train.py")
    assert list(spec_of(found)["searchSpace"]) == ["lr"]
    for name in ("many", "inf", "odd"):
        assert f"'{name}' has arguments that make no space" in left_of(found)
    assert "no search space" in refused('x = {"a": tune.choice(5)}', "train.py")[0].message
    digits = '{"a": tune.choice([0x' + "f" * 5000 + "])}"
    assert "below 1e300" in refused(digits, "train.py")[0].message


def test_numbers_without_end_are_refused_by_name() -> None:
    long = NNI_2.replace("1h", "9" * 400)
    assert refused(long)[0].path == "maxExperimentDuration"
    deep = '{"x": {"_type": "factor", "_value": [1, 100000]}}'
    assert "factor" in str(refused(NNI_2, search_space_json=deep)[0])


@pytest.mark.parametrize(
    "space",
    [
        {"min": "0", "max": "1", "step": "1e-250"},
        {"min": "1", "max": "0", "distribution": "logNormal"},
        {"min": "1e-400", "max": "1", "distribution": "logNormal"},
    ],
)
def test_odd_numbers_of_katib_are_refused(space: dict[str, str]) -> None:
    given = yaml.safe_load(KATIB)
    row = {"name": "a", "parameterType": "double", "feasibleSpace": space}
    given["spec"]["parameters"] = [row]
    assert "feasibleSpace" in refused(json.dumps(given), "katib.json")[0].path


def test_a_katib_template_without_a_pod_is_refused() -> None:
    given = yaml.safe_load(KATIB)
    given["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"] = None
    assert "pod template" in refused(json.dumps(given), "katib.json")[0].message


def test_nothing_of_a_file_steers_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a\x1b]0;x\x07.yml"
    file.write_text(NNI_2.replace("MNIST run", '"M\\e[2JN \\u202eM"'))
    (tmp_path / "search_space.json").write_text('{"lr": {"_type": "uniform", "_value": [0, 1]}}')
    call_command("convert", str(file))
    shown = "".join(capsys.readouterr())
    assert "experimentName: M\\x1b[2JN" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_the_file_is_not_the_only_thing_that_may_be_huge(tmp_path: Path) -> None:
    """Python's own limit for writing integers is met in a message too."""
    with pytest.raises(ProblemsError, match="number"):
        converted('{"a": tune.uniform(0, 0x' + "f" * 5000 + ")}", "train.py")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trial: &a\n  command: x\n  inner: *a\ntuner: {}\n", "itself"),
        (
            "trial: &a0 [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
            "alias",
        ),
        ("trialCommand: " + "x" * (4 << 20), "at most 1 MiB"),
        ("trialCommand: " + "[" * 5000, "deep"),
    ],
    ids=["cyclic", "bomb", "huge", "deep"],
)
def test_yaml_that_is_cyclic_or_huge_is_refused_at_once(text: str, said: str) -> None:
    began = time.process_time()
    words = " ".join(problem.message for problem in refused(text))
    assert said in words, words[:300]
    assert time.process_time() - began < 2
