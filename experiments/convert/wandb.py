"""W&B's sweep configurations: ``sweep.yaml``.

``${args}`` and its relatives become ``$(params.NAME)`` words. Parameters below parameters become
names with dots, as command lines and Hydra write them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.algorithms.space.search_space import SearchSpace
from experiments.convert.choosing import FALLBACK, fit_to_space, put_algorithm
from experiments.convert.draft import Draft, Section, limits
from experiments.manifest.reading import at, kind_of
from experiments.problems import ProblemsError

_METHODS = {"grid": "GridSearch", "random": "Random", "bayes": "GPTuner"}
_MACRO = re.compile(r"\$\{(\w+)(?::(\w+))?\}")
_DEFAULT_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
_SERVICE = "belongs to W&B's service."
_OF_THE_SERVICE = ("project", "entity", "description", "controller", "scheduler", "queue", "kind",
                   "apiVersion", "job_type", "prior_runs", "display_name", "version")  # fmt: skip
# distribution: what it reads, and our type
_RANGES = {
    "uniform": ("uniform", ("min", "max")),
    "q_uniform": ("quniform", ("min", "max", "q")),
    "log_uniform_values": ("loguniform", ("min", "max")),
    "q_log_uniform_values": ("qloguniform", ("min", "max", "q")),
    "inv_log_uniform_values": ("loguniform", ("min", "max")),
    "normal": ("normal", ("mu", "sigma")),
    "q_normal": ("qnormal", ("mu", "sigma", "q")),
    "log_normal": ("lognormal", ("mu", "sigma")),
    "q_log_normal": ("qlognormal", ("mu", "sigma", "q")),
}
_EXPONENTS = {"log_uniform": "loguniform", "q_log_uniform": "qloguniform",
              "inv_log_uniform": "loguniform"}  # fmt: skip
_DEFAULTS = {"mu": 0, "sigma": 1, "q": 1}


def convert_wandb(draft: Draft, data: Mapping[str, Any], otherwise: str) -> None:
    """Fill the draft from a sweep's configuration."""
    top = Section(draft, data, "")
    draft.name_it(top.text("name"), top.where("name"), otherwise)
    metric = top.section("metric")
    mode = metric.text("goal") or "minimize"
    name = metric.text("name")
    space: dict[str, Any] = {}
    _parameters(draft, top.section("parameters"), "", space)
    draft.put("spec.searchSpace", space)
    method = top.text("method")
    run_cap = top.whole("run_cap", low=1)
    trials = run_cap or (_all_of(space) if method == "grid" else None)
    limits(draft, trials=(trials, top.where("run_cap") if run_cap else ""), at_once=(None, ""),
           seconds=(None, ""))  # fmt: skip
    _objective(draft, top, metric, name)
    _method(draft, top, method, mode)
    _early_terminate(draft, top, mode)
    _command(draft, top, space)
    for key in _OF_THE_SERVICE:
        if top.take(key) is not None:
            top.leave(key, _SERVICE)
    top.leave_rest()
    fit_to_space(draft, top.where("method"))


def _objective(draft: Draft, top: Section, metric: Section, name: str) -> None:
    if not metric.data:
        draft.leave("", "There is no metric: the smallest result is the best one.")
    if name:
        draft.put("spec.metrics", {"objective": name}, metric.where("name"), name)
    else:
        draft.leave(
            metric.path if metric.data else "",
            "What wandb.log sends is not read here.",
            "Call autotune_trial.report(VALUE) beside it.",
        )
    metric.take("target")
    metric.leave_rest()


def _method(draft: Draft, top: Section, method: str, mode: str) -> None:
    path = top.where("method")
    ours = _METHODS.get(method, FALLBACK)
    if mode not in ("minimize", "maximize"):
        message = f"must be minimize or maximize, but got {mode!r}."
        draft.refuse("metric.goal", message)
        mode = "minimize"
    if method not in _METHODS:
        said = f"The method '{method}' is not here" if method else "There is no method"
        draft.leave(path if method else "", f"{said}: the tuner is {ours}.")
    put_algorithm(draft, "tuner", ours, {"optimize_mode": mode}, path, method)


def _early_terminate(draft: Draft, top: Section, mode: str) -> None:
    section = top.section("early_terminate")
    if not section.data:
        return
    kind = section.text("type") or "hyperband"
    if kind != "hyperband":
        message = f"'{kind}' is not here: no trial is stopped early."
        draft.leave(section.where("type"), message, "Take the assessor Medianstop.")
        return
    start = _first_bracket(section)
    draft.leave(
        section.path,
        "W&B stops the worse runs at the brackets of Hyperband. Here Medianstop stops a trial that "
        "is worse than the median at its step.",
        "Or take the advisor ASHA, whose trials read TRIAL_BUDGET.",
    )
    args: dict[str, Any] = {"optimize_mode": mode, "start_step": start}
    put_algorithm(draft, "assessor", "Medianstop", args, section.path, kind)


def _first_bracket(section: Section) -> int:
    """The step at which W&B looks at a run first: min_iter, or max_iter divided by eta, s times."""
    start, last = section.whole("min_iter"), section.whole("max_iter", low=1)
    s, eta = section.whole("s", low=1), section.take("eta")
    if start is not None or last is None:
        return 3 if start is None else start
    base = eta if isinstance(eta, int | float) and eta > 1 else 3
    return max(int(last / base ** min(s or 1, 64)), 1) if base < 1e6 else 1


def _all_of(space: dict[str, Any]) -> int | None:
    try:
        count = SearchSpace.parse(space).n_distinct()
    except ProblemsError:
        return None
    return min(count, 10**6) if count else None


# ---- parameters


def _parameters(draft: Draft, section: Section, prefix: str, space: dict[str, Any]) -> None:
    if not section.data and not prefix:
        draft.refuse("parameters", "There are no parameters.")
    for key, value in section.data.items():
        path, name = at(section.path, key), f"{prefix}{key}"
        parameter = Section(draft, value, path)
        if "parameters" in parameter:
            draft.leave(path, f"Its parameters are called '{name}.…' here, each by itself.")
            _parameters(draft, parameter.section("parameters"), f"{name}.", space)
            continue
        entry = _entry(draft, parameter)
        if name in space:
            message = f"There are two parameters '{name}'."
            draft.refuse(path, message, "Parameters below others are called by all names.")
        if entry is not None:
            for known in ("description", "distribution"):
                parameter.take(known)
            parameter.leave_rest("is not used by this distribution.")
            space[name] = entry
            draft.note(path, value, f"spec.searchSpace.{name}", entry)


def _entry(draft: Draft, given: Section) -> dict[str, Any] | None:
    distribution = given.text("distribution")
    if "value" in given and distribution in ("", "constant"):
        return {"_type": "choice", "_value": [given.take("value")]}
    if "values" in given and distribution in ("", "categorical", "categorical_w_probabilities"):
        values = given.take("values")
        if not isinstance(values, list) or not values:
            draft.refuse(given.where("values"), f"must be a list, but got {kind_of(values)}.")
            return None
        if given.take("probabilities") is not None:
            draft.leave(given.where("probabilities"), "Every value is drawn as often here.")
        return {"_type": "choice", "_value": values}
    low, high = given.data.get("min"), given.data.get("max")
    if not distribution and low is not None and high is not None:
        whole = all(isinstance(v, int) and not isinstance(v, bool) for v in (low, high))
        distribution = "int_uniform" if whole else "uniform"
    if distribution == "int_uniform":
        numbers = _numbers(draft, given, ("min", "max"))
        if numbers and not all(float(number).is_integer() for number in numbers):
            draft.refuse(given.path, "int_uniform must have whole numbers as min and max.")
            return None
        return None if numbers is None else {
            "_type": "randint", "_value": [int(numbers[0]), int(numbers[1]) + 1]}  # fmt: skip
    if distribution in _RANGES:
        ours, names = _RANGES[distribution]
        numbers = _numbers(draft, given, names)
        return None if numbers is None else {"_type": ours, "_value": numbers}
    if distribution in _EXPONENTS:
        return _exponents(draft, given, distribution)
    hint = "Take uniform, or a list of values." if distribution in ("beta", "q_beta") else ""
    message = f"The distribution '{distribution}' is not here." if distribution else (
        "must have value, values, or min and max.")  # fmt: skip
    draft.refuse(given.path, message, hint)
    return None


def _exponents(draft: Draft, given: Section, distribution: str) -> dict[str, Any] | None:
    """``log_uniform`` of W&B is given by natural logarithms."""
    numbers = _numbers(draft, given, ("min", "max"))
    if numbers is None:
        return None
    low, high = numbers
    if distribution.startswith("inv"):
        low, high = -high, -low
    if not -690 <= low <= high <= 690:
        draft.refuse(given.path, "min and max are natural logarithms here, within ±690.")
        return None
    bounds = [float(f"{math.exp(low):.12g}"), float(f"{math.exp(high):.12g}")]
    if distribution.startswith("q"):
        bounds.append(given.data.get("q", 1))
        given.take("q")
    return {"_type": _EXPONENTS[distribution], "_value": bounds}


def _numbers(draft: Draft, given: Section, names: tuple[str, ...]) -> list[Any] | None:
    found = []
    for name in names:
        value = given.take(name)
        value = _DEFAULTS.get(name) if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            draft.refuse(given.where(name), f"must be a number, but got {kind_of(value)}.")
            return None
        found.append(value)
    return found


# ---- command


def _command(draft: Draft, top: Section, space: dict[str, Any]) -> None:
    program, words = top.text("program"), top.data.get("command")
    is_whole = isinstance(words, list) and bool(words) and "${program}" not in words
    if not program and not is_whole:
        if top.take("job") is not None:
            message = "A Launch job is an image of W&B's registry, whose command is not said here."
            draft.refuse(top.where("job"), message, "Name the script: program: train.py.")
        else:
            draft.refuse("", "There is no program.", "E.g. program: train.py.")
        return
    given = top.take("command") or _DEFAULT_COMMAND
    path = top.where("command" if "command" in top else "program")
    if not isinstance(given, list):
        draft.refuse(path, f"must be a list of words, but got {kind_of(given)}.")
        return
    words = [w for raw in given for w in _word(draft, str(raw), path, program, space)]
    if words[:1] == ["/usr/bin/env"]:
        words = words[1:]
    container: dict[str, Any] = {
        "name": "pytorch",
        "command": words,
        "workingDir": ".",
        "env": [
            {"name": "WANDB_MODE", "value": "offline"},  # no trial asks for an account
            # a file of the parameters, which wandb.init takes as an agent's
            {"name": "WANDB_SWEEP_PARAM_PATH", "value": "$(AUTOTUNE_SWEEP_PARAMETERS)"},
            # what it logs is read there, as it is logged
            {"name": "WANDB_DIR", "value": "$(AUTOTUNE_WANDB_DIR)"},
            {"name": "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL", "value": "1"},
        ],
    }
    if image := top.text("image_uri"):
        container["image"] = image
    task = {"type": "worker", "replicas": 1, "template": {"spec": {"containers": [container]}}}
    draft.put("spec.trainingConfig", {"type": "pytorch", "tasks": [task]}, path, given)


def _word(draft: Draft, word: str, path: str, program: str, space: dict[str, Any]) -> Iterator[str]:
    """One word of the command, or many where it stands for all parameters."""
    found = _MACRO.fullmatch(word)
    name = found[1] if found else ""
    if name in ("args", "args_no_boolean_flags", "args_no_hyphens"):
        flags = [key for key, entry in space.items() if _is_flag(entry)]
        if name == "args_no_boolean_flags" and flags:
            hint = "Let the script take --NAME=true, with ${args}."
            draft.refuse(path, f"'{flags[0]}' would be a flag that is there or not.", hint)
        elif flags:
            message = f"{', '.join(flags)}: true and false are written so, not True and False."
            draft.leave(path, message)
        dashes = "" if name == "args_no_hyphens" else "--"
        for key in space:
            yield f"{dashes}{key}=$(params.{key})"
    elif name == "args_json":
        yield "$(params)"
    elif name == "args_json_file":
        draft.refuse(path, "No file of parameters is written here.", "Take ${args_json}.")
    elif name == "env":
        yield "/usr/bin/env"
    elif name == "interpreter":
        yield "python3"
    elif name == "program":
        yield program
    else:
        yield _MACRO.sub(lambda m: _inside(draft, m, path, program), word)


def _inside(draft: Draft, match: re.Match[str], path: str, program: str) -> str:
    """What a macro in the middle of a word stands for."""
    if match[1] == "envvar" and match[2]:
        draft.leave(path, f"'{match[0]}' is read from env here.",
                    f"Set {match[2]} in the container's env.")  # fmt: skip
        return f"$({match[2]})"
    if match[1] == "program":
        return program
    if match[1] == "interpreter":
        return "python3"
    draft.leave(path, f"'{match[0]}' stays as it is: nothing replaces it.")
    return match[0]


def _is_flag(entry: Mapping[str, Any]) -> bool:
    return entry["_type"] == "choice" and any(isinstance(v, bool) for v in entry["_value"])
