"""Katib's Experiment, v1beta1: objective, algorithm, parameters, metrics and early stopping.

``katib_trial`` reads the trial template.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from experiments.convert.choosing import FALLBACK, fit_to_space, put_algorithm
from experiments.convert.draft import Draft, Section, limits
from experiments.convert.katib_trial import BUDGET, put_template
from experiments.manifest.reading import at, kind_of

MOST_STEPS = 1000

_ALGORITHMS = {
    "random": ("tuner", "Random", ""),
    "grid": ("tuner", "GridSearch", ""),
    "tpe": ("tuner", "TPE", ""),
    "multivariate-tpe": ("tuner", "TPE", ""),  # ours is multivariate
    "bayesianoptimization": ("tuner", "GPTuner", ""),
    "cmaes": ("tuner", "CMA-ES", ""),
    "sobol": ("tuner", "Random", "Sobol sequences are not here"),
    "hyperband": ("advisor", "Hyperband", ""),
    "pbt": ("tuner", "PBTTuner", ""),
}
_BEST = "The value printed last counts here; Katib takes the best one printed."
_INSTEAD = {
    "min": "The value printed last counts here; Katib takes the smallest one printed.",
    "max": "The value printed last counts here; Katib takes the largest one printed.",
}
_ARCHITECTURE = ("enas", "darts", "nas-envelopenet")
_SETTINGS = {
    "random_state": ("seed", int), "seed": ("seed", int),
    "n_startup_trials": ("n_startup_jobs", int), "n_ei_candidates": ("n_ei_candidates", int),
    "n_initial_points": ("cold_start_num", int), "gamma": ("gamma", float),
    "prior_weight": ("prior_weight", float), "popsize": ("population_size", int),
    "n_population": ("population_size", int), "truncation_threshold": ("fraction", float),
    "resample_probability": ("resample_probability", float), "eta": ("eta", int),
    "r_l": ("R", float),
}  # fmt: skip


def convert_katib(draft: Draft, data: Mapping[str, Any], otherwise: str) -> None:
    """Fill the draft from an Experiment object."""
    top = Section(draft, data, "")
    top.take("apiVersion")
    top.take("kind")
    top.take("status")
    meta = top.section("metadata")
    name = meta.text("name") or meta.text("generateName").rstrip("-")
    draft.name_it(name, meta.where("name"), otherwise)
    for key in ("namespace", "labels", "annotations"):
        if value := meta.take(key):
            draft.metadata[key] = value
    spec = top.section("spec")
    if spec.take("nasConfig") is not None:
        hint = "Only hyperparameters are searched here."
        draft.refuse(spec.where("nasConfig"), "This Experiment searches an architecture.", hint)
        return
    limits(
        draft,
        trials=(spec.whole("maxTrialCount", low=1), spec.where("maxTrialCount")),
        at_once=(spec.whole("parallelTrialCount", low=1) or 3, spec.where("parallelTrialCount")),
        seconds=(None, ""),
    )
    mode = _objective(draft, spec)
    resource = _algorithm(draft, spec, mode)
    _parameters(draft, spec, resource)
    _early_stopping(draft, spec, mode)
    put_template(draft, spec.section("trialTemplate"), resource)
    if spec.take("maxFailedTrialCount") is not None:
        draft.leave(
            spec.where("maxFailedTrialCount"),
            "Failed trials end no experiment here; after 3 failures alike it suspends itself.",
            "spec.breaker: {alike: N} sets how many.",
        )
    if spec.take("resumePolicy") is not None:
        message = "Not needed: raising maxTrialNum resumes a finished experiment."
        draft.leave(spec.where("resumePolicy"), message)
    spec.leave_rest()
    fit_to_space(draft, "spec.algorithm.algorithmName")


def _objective(draft: Draft, spec: Section) -> str:
    objective = spec.section("objective")
    mode = objective.text("type") or "maximize"
    if mode not in ("minimize", "maximize"):
        message = f"must be minimize or maximize, but got {mode!r}."
        draft.refuse(objective.where("type"), message)
        mode = "maximize"
    name = objective.text("objectiveMetricName")
    if objective.take("goal") is not None:
        draft.leave(objective.where("goal"), "An experiment does not end at a goal here.",
                    "Finish it on its page, or set maxTrialNum.")  # fmt: skip
    objective.take("additionalMetricNames")  # whatever is printed is taken
    strategy = _strategy(objective, name)
    if not name:
        draft.refuse(objective.where("objectiveMetricName"), "is required.")
    _metrics(draft, spec, name)
    if strategy != "latest" and "metrics" in draft.spec:
        where = "metricStrategies" if "metricStrategies" in objective else "objectiveMetricName"
        draft.leave(
            objective.where(where),
            _INSTEAD.get(strategy) or _BEST,
            "Let the script print the value that counts last.",
        )
    objective.leave_rest()
    return mode


def _strategy(objective: Section, name: str) -> str:
    """Which of the objective's values Katib takes: latest, min or max; "" where none is said."""
    rows = objective.take("metricStrategies")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and row.get("name") == name:
            return str(row.get("value") or "")
    return ""


def _metrics(draft: Draft, spec: Section, name: str) -> None:
    """Set ``spec.metrics``, but where the script reports by itself."""
    collector_spec = spec.section("metricsCollectorSpec")
    kind = collector_spec.section("collector").text("kind") or "StdOut"
    source = collector_spec.section("source")
    path = collector_spec.where("collector")
    if kind in ("None", "Push"):
        hint = "Let the script call autotune_trial.report(); docs/trials.md."
        draft.leave(path, f"With {kind} the script reports to Katib by itself.", hint)
        return
    if kind not in ("StdOut", "File", "TensorFlowEvent"):
        hint = f"Let the script print '{name}=VALUE', or call autotune_trial.report()."
        draft.leave(path, f"The collector {kind} is not here.", hint)
    metrics: dict[str, Any] = {"objective": name}
    patterns = source.section("filter").take("metricsFormat") or []
    if isinstance(patterns, list) and patterns:
        metrics["stdout"] = {"pattern": str(patterns[0])}
        if len(patterns) > 1:
            where = f"{source.path}.filter.metricsFormat[1]"
            draft.leave(where, "One pattern is taken.", "Join them into one by '|'.")
    place = source.section("fileSystemPath")
    file = place.text("path")
    place.take("format")
    place.take("kind")
    if kind == "File":
        metrics["file"] = file or "/var/log/katib/metrics.log"
    if kind == "TensorFlowEvent":
        metrics["tensorboard"] = file or "/var/log/katib/tfevent/"
        metrics.pop("stdout", None)
    draft.put("spec.metrics", metrics, "spec.objective.objectiveMetricName", name)


def _algorithm(draft: Draft, spec: Section, mode: str) -> str:
    """Set tuner or advisor; return the parameter that is the trial's budget, "" where none is."""
    section = spec.section("algorithm")
    name, path = section.text("algorithmName"), section.where("algorithmName")
    if name in _ARCHITECTURE:
        message = f"{name} searches an architecture; only hyperparameters are searched here."
        draft.refuse(path, message)
        return ""
    kind, ours, why = _ALGORITHMS.get(name, ("tuner", FALLBACK, f"'{name}' is not here"))
    if why:
        draft.leave(path, f"{why}: the tuner is {ours}.")
    args: dict[str, Any] = {"optimize_mode": mode}
    paths: dict[str, str] = {}
    resource = ""
    for where, key, value in _pairs(draft, section, "algorithmSettings"):
        if key == "resource_name":
            resource = value
            continue
        target, read = _SETTINGS.get(key, ("", str))
        try:
            number = read(value)
        except ValueError:
            target = ""
        if not target:
            draft.leave(where, f"{ours} here has no setting like {key}.")
            continue
        if target in ("R", "eta") and ours == "Hyperband":
            number = int(float(value)) if math.isfinite(float(value)) else value
        args[target] = number
        paths[target] = where
    if ours == "PBTTuner":
        draft.leave(
            path,
            "A trial is told by parameters where to load and save its checkpoint.",
            "Pass $(params.load_checkpoint_dir) and $(params.save_checkpoint_dir) to the script.",
        )
    if ours == "Hyperband" and not resource:
        draft.leave(
            path,
            "It names no parameter that is a trial's budget, as Katib asks of hyperband.",
            "Set resource_name, or let the script read the parameter TRIAL_BUDGET.",
        )
    put_algorithm(draft, kind, ours, args, path, name, paths)
    section.leave_rest()
    return resource if ours == "Hyperband" else ""


def _pairs(draft: Draft, section: Section, name: str) -> list[tuple[str, str, str]]:
    rows = section.take(name) or []
    path = section.where(name)
    if not isinstance(rows, list):
        draft.refuse(path, f"must be a list, but got {kind_of(rows)}.")
        return []
    found = []
    for number, row in enumerate(rows):
        pair = Section(draft, row, at(path, number))
        found.append((pair.path, pair.text("name"), pair.text("value")))
    return found


def _early_stopping(draft: Draft, spec: Section, mode: str) -> None:
    section = spec.section("earlyStopping")
    if not section.data:
        return
    path = section.where("algorithmName")
    if (name := section.text("algorithmName")) != "medianstop":
        draft.leave(path, f"'{name}' is not here: no trial is stopped early.")
        return
    args: dict[str, Any] = {"optimize_mode": mode}
    for where, key, value in _pairs(draft, section, "algorithmSettings"):
        if key == "start_step" and value.isdecimal():
            args["start_step"] = int(value)
        else:
            draft.leave(where, f"Medianstop here has no setting {key}.")
    put_algorithm(draft, "assessor", "Medianstop", args, path, name)


# ---- parameters


def _parameters(draft: Draft, spec: Section, resource: str) -> None:
    rows = spec.take("parameters")
    path = spec.where("parameters")
    if not isinstance(rows, list) or not rows:
        draft.refuse(path, "must be a list of parameters.")
        return
    space: dict[str, Any] = {}
    for number, row in enumerate(rows):
        parameter = Section(draft, row, at(path, number))
        name = parameter.text("name")
        if name == resource and resource:
            message = f"'{name}' is the trial's budget: the advisor gives it as {BUDGET}."
            draft.leave(parameter.path, message)
            continue
        entry = _entry(draft, parameter)
        if name in space:
            draft.refuse(parameter.path, f"There are two parameters '{name}'.")
        if entry is not None:
            space[name] = entry
            draft.note(parameter.path, row, f"spec.searchSpace.{name}", entry)
    draft.put("spec.searchSpace", space)


def _entry(draft: Draft, parameter: Section) -> dict[str, Any] | None:
    kind = parameter.text("parameterType")
    feasible = parameter.section("feasibleSpace")
    if kind in ("categorical", "discrete"):
        members = feasible.take("list")
        if not isinstance(members, list) or not members:
            draft.refuse(feasible.where("list"), "must be a list of values.")
            return None
        values = [_number(str(m)) if kind == "discrete" else str(m) for m in members]
        if None in values:
            draft.refuse(feasible.where("list"), "must be a list of numbers.")
            return None
        plain = [_plain(v) if isinstance(v, Decimal) else v for v in values]
        return {"_type": "choice", "_value": plain}
    if kind not in ("int", "double"):
        message = f"must be int, double, discrete or categorical, but got {kind!r}."
        draft.refuse(parameter.where("parameterType"), message)
        return None
    bounds = [_number(feasible.text(name)) for name in ("min", "max")]
    low, high = bounds
    if low is None or high is None:
        draft.refuse(feasible.path, "must have min and max, numbers.")
        return None
    step = _number(feasible.text("step"))
    distribution = feasible.text("distribution") or "uniform"
    return _numeric(draft, feasible, kind == "int", low, high, step, distribution)


def _numeric(
    draft: Draft, feasible: Section, is_int: bool, low: Decimal, high: Decimal,
    step: Decimal | None, distribution: str,
) -> dict[str, Any] | None:  # fmt: skip
    q = step if step else (Decimal(1) if is_int else None)
    ends = [_plain(low, is_int), _plain(high, is_int)]
    if distribution in ("normal", "logNormal"):
        draft.leave(feasible.where("distribution"),
                    "Draws are not cut off at min and max here.")  # fmt: skip
        if distribution == "logNormal" and min(float(low), float(high)) <= 0:
            where = feasible.where("min" if float(low) <= 0 else "max")
            draft.refuse(where, "must be above 0 for logNormal.")
            return None
        one, two = (float(low), float(high)) if distribution == "normal" else (
            math.log(low), math.log(high))  # fmt: skip
        mu, sigma = (one + two) / 2, (two - one) / 6
        letters = "q" if q else ""
        value = [mu, sigma, _plain(q, is_int)] if q else [mu, sigma]
        return {"_type": letters + distribution.lower(), "_value": value}
    if distribution == "logUniform":
        value = [*ends, _plain(q, is_int)] if q else ends
        return {"_type": "qloguniform" if q else "loguniform", "_value": value}
    if q is None:
        return {"_type": "uniform", "_value": ends}
    if is_int and q == 1:
        return {"_type": "randint", "_value": [int(low), int(high) + 1]}
    if _is_multiple(low, q) and _is_multiple(high, q):
        return {"_type": "quniform", "_value": [*ends, _plain(q, is_int)]}
    count = int((high - low) / q) + 1 if q > 0 and high >= low else 0
    if not 0 < count <= MOST_STEPS:
        message = f"min, max and step must give 1 to {MOST_STEPS} values, but give {count}."
        draft.refuse(feasible.path, message)
        return None
    return {"_type": "choice", "_value": [_plain(low + i * q, is_int) for i in range(count)]}


def _is_multiple(number: Decimal, q: Decimal) -> bool:
    try:
        return number % q == 0
    except InvalidOperation:  # more steps than there are digits
        return False


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < Decimal("1e300") else None


def _plain(number: Decimal, is_int: bool = False) -> int | float:
    """A whole number where it is meant as one, written without a point."""
    is_whole = number == number.to_integral_value() and abs(number) < 2**53
    return int(number) if is_whole and (is_int or "." not in str(number)) else float(number)
