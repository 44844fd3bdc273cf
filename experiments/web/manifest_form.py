"""A manifest as the new-experiment form shows it, and the form's edits merged back into it.

Called by ``new_page`` at every keystroke, so both directions take whatever is there, right or
wrong: the parser says what is wrong, this only keeps form and manifest in step.

Guarantee: ``merge_form(m, form_from_manifest(m)) == m`` for any mapping ``m``. Only what differs
from the manifest's own form is written, so fields the form does not know (volumes, resources,
labels …), and the way things are written, survive an edit.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from experiments.algorithms import registry
from experiments.algorithms.settings import SettingInfo, describe
from experiments.manifest.algorithm_spec import DEFAULT_MODE
from experiments.manifest.fields import API_VERSION, KIND, NAME_FIELDS
from experiments.manifest.json_text import pretty_json
from experiments.manifest.text_edit import edit_json
from experiments.manifest.training_spec import MAIN_CONTAINER
from experiments.strict_json import read_json
from experiments.web.form_values import (
    as_dict,
    as_list,
    as_text,
    as_value,
    comparable,
    read_mapping,
)
from experiments.web.initial_form import initial_form, merge_initial
from experiments.web.local_form import gpus_form, local_form, merge_gpus, merge_local
from experiments.web.metrics_form import merge_metrics, metrics_form
from experiments.web.warm_start_form import merge_warm_start, warm_start_form

# Arguments of each numeric _type, in the order of its _value.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "choice": (),
    "randint": ("low", "high"),
    "uniform": ("low", "high"),
    "quniform": ("low", "high", "q"),
    "loguniform": ("low", "high"),
    "qloguniform": ("low", "high", "q"),
    "normal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "lognormal": ("mu", "sigma"),
    "qlognormal": ("mu", "sigma", "q"),
    "layer_choice": (),
    "input_choice": (),
}
OPTION_TYPES = frozenset({"choice", "layer_choice"})
UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}  # largest first
LIMITS = {"max_trials": "maxTrialNum", "concurrency": "trialConcurrency"}
TIMES = {"time": "maxExecSeconds", "trial_time": "maxTrialSeconds"}
_STORES = ("aistore", "aimd", "em")  # the spellings the parser takes


def _put(target: dict[str, Any], key: str, value: Any) -> None:
    """Set, or remove where there is nothing to set."""
    if value in ("", None, [], {}):
        target.pop(key, None)
    else:
        target[key] = value


def _below(target: dict[str, Any], key: str) -> dict[str, Any]:
    """The mapping at ``key``, made where there is none."""
    if not isinstance(target.get(key), dict):
        target[key] = {}
    found: dict[str, Any] = target[key]
    return found


# ---- manifest to form


def form_from_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The form's fields. A section that cannot be read is None: shown locked, never written."""
    spec = as_dict(manifest.get("spec"))
    mode, tuner = _tuner_form(spec.get("tuner"))
    advisor = _algorithm_form("advisor", spec.get("advisor"))
    if advisor["name"] and not tuner["name"]:
        mode = (advisor["args"] or {}).get("optimize_mode") or DEFAULT_MODE
    store = as_dict(spec.get(_store_key(spec)))
    return {
        "name": as_text(as_dict(manifest.get("metadata")).get("name")),
        "max_trials": as_text(spec.get("maxTrialNum")),
        "concurrency": as_text(spec.get("trialConcurrency")),
        "time": _time_form(spec.get("maxExecSeconds")),
        "trial_time": _time_form(spec.get("maxTrialSeconds")),
        "alike": as_text(as_dict(spec.get("breaker")).get("alike")),
        "initial": initial_form(spec.get("initial")),
        "local": local_form(spec.get("local")),
        "metrics": metrics_form(spec.get("metrics")),
        "warm_start": warm_start_form(spec.get("warmStart")),
        "optimize_mode": mode,
        "space": _space_form(spec.get("searchSpace")),
        "tuner": tuner,
        "assessor": _algorithm_form("assessor", spec.get("assessor")),
        "advisor": advisor,
        "training": _training_form(spec.get("trainingConfig")),
        "elsewhere": spec.get("elsewhere") is not None,  # shown, changed in the text alone
        "aistore": {key: as_text(store.get(key)) for key in ("folder", "secret")},
    }


def _time_form(seconds: Any) -> dict[str, str]:
    if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds > 0:
        for unit, size in UNITS.items():
            if seconds % size == 0:
                return {"amount": str(seconds // size), "unit": unit}
    return {"amount": as_text(seconds), "unit": "s"}


def _space_form(raw: Any) -> list[dict[str, Any]] | None:
    space = read_mapping(raw)
    if space is None:
        return None
    return [_row_form(str(name), entry) for name, entry in space.items()]


def _row_form(name: str, entry: Any) -> dict[str, Any]:
    """``json`` is the _value as JSON text where no simpler field can hold it, else None."""
    row: dict[str, Any] = {"name": name, "type": "", "values": [], "options": [], "json": None}
    entry = as_dict(entry)
    row["type"] = as_text(entry.get("_type"))
    kind = "qlognormal" if row["type"] == "qlognoraml" else row["type"]
    value = entry.get("_value")
    scalars = isinstance(value, list) and not any(isinstance(v, dict | list) for v in value)
    if scalars and kind in OPTION_TYPES:
        row["options"] = list(value)
    elif value is None and kind in ARGUMENTS:
        row["values"] = ["" for _ in ARGUMENTS[kind]]
    elif scalars and ARGUMENTS.get(kind) and len(value) == len(ARGUMENTS[kind]):
        row["values"] = [as_text(v) for v in value]
    else:
        row["json"] = "" if value is None else json.dumps(value, ensure_ascii=False)
    return row


def _settings(kind: str, name: str) -> list[SettingInfo]:
    entry = registry.find(kind, name)
    return describe(entry.args) if isinstance(entry, registry.Entry) else []


def _algorithm_form(kind: str, raw: Any) -> dict[str, Any]:
    section = as_dict(raw)
    name = as_text(section.get(NAME_FIELDS[kind]))
    entry = registry.find(kind, name)
    args = read_mapping(section.get("classArgs"))
    return {
        "name": entry.name if isinstance(entry, registry.Entry) else name,
        "args": None if args is None else {str(key): as_text(args[key]) for key in args},
    }


def _tuner_form(raw: Any) -> tuple[str, dict[str, Any]]:
    """The direction apart: it is a question of its own in the form."""
    form = _algorithm_form("tuner", raw)
    mode = (form["args"] or {}).pop("optimize_mode", "")
    return mode or DEFAULT_MODE, form


def _training_form(raw: Any) -> dict[str, Any]:
    config = as_dict(raw)
    tasks = config.get("tasks")
    readable = tasks is None or (
        isinstance(tasks, list) and all(isinstance(t, Mapping) for t in tasks)
    )
    framework = as_text(config.get("type"))
    rows = [_task_form(i, task, framework) for i, task in enumerate(as_list(tasks))]
    return {"type": framework, "tasks": rows if readable else None}


def main_container(task: Mapping[str, Any], framework: str) -> int | None:
    """Place of the container that trains, None where the task has no readable container."""
    rows = as_list(as_dict(as_dict(task.get("template")).get("spec")).get("containers"))
    found = [i for i, row in enumerate(rows) if isinstance(row, Mapping)]
    for index in found:
        if rows[index].get("name") == MAIN_CONTAINER.get(framework):
            return index
    return found[0] if found else None


def _task_form(origin: int, task: Mapping[str, Any], framework: str) -> dict[str, Any]:
    """``origin`` is the task's place in the manifest: what the form lacks is taken from there."""
    index = main_container(task, framework)
    container = {} if index is None else dict(task["template"]["spec"]["containers"][index])
    return {
        "origin": origin,
        "container": index,
        "type": as_text(task.get("type")),
        "replicas": as_text(task.get("replicas")),
        "image": as_text(container.get("image")),
        "command": _words_form(container.get("command")),
        "args": _words_form(container.get("args")),
        "workingDir": as_text(container.get("workingDir")),
        "env": [_env_form(row) for row in as_list(container.get("env"))],
        "gpus": gpus_form(container),
    }


def _words_form(raw: Any) -> list[str] | str:
    """A list of arguments, or the text that wrongly stands there."""
    if raw and not isinstance(raw, list):
        return as_text(raw)
    return [as_text(word) for word in as_list(raw)]


def _env_form(raw: Any) -> dict[str, Any]:
    row = as_dict(raw)
    return {
        "name": as_text(row.get("name")),
        "value": as_text(row.get("value")),
        "reference": row.get("valueFrom") is not None,
    }


# ---- form to manifest


def merge_form(manifest: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with everything written in the form; what the form left alone stays as it is."""
    merged = copy.deepcopy(dict(manifest))
    merged.setdefault("apiVersion", API_VERSION)
    merged.setdefault("kind", KIND)
    if merged == {"apiVersion": API_VERSION, "kind": KIND}:
        merged |= {"metadata": {}, "spec": {}}
    old = form_from_manifest(manifest)
    new = {**old, **form}
    if comparable(new) == comparable(old):
        return copy.deepcopy(dict(manifest))
    if new["name"] != old["name"]:
        _below(merged, "metadata")["name"] = as_text(new["name"])
    spec = _below(merged, "spec")
    for field, key in LIMITS.items():
        if new[field] != old[field]:
            _put(spec, key, as_value(new[field]))
    for field, key in TIMES.items():
        if new[field] != old[field]:
            _put(spec, key, _seconds(as_dict(new[field])))
    if new["alike"] != old["alike"]:
        _put(_below(spec, "breaker"), "alike", as_value(new["alike"]))
        _put(spec, "breaker", spec["breaker"])
    if new["initial"] != old["initial"]:
        merge_initial(spec, new["initial"])
    if new["local"] != old["local"]:
        merge_local(spec, old["local"], as_dict(new["local"]))
    if new["metrics"] != old["metrics"]:
        merge_metrics(spec, old["metrics"], as_dict(new["metrics"]))
    if new["warm_start"] != old["warm_start"]:
        merge_warm_start(spec, as_dict(new["warm_start"]))
    rows = rows_of(new)
    if rows is not None and comparable(rows) != comparable(old["space"]):
        _merge_space(spec, old["space"] or [], rows)
    _merge_tuner(spec, old, new)
    for kind in ("assessor", "advisor"):
        if new[kind] != old[kind]:
            _merge_algorithm(spec, kind, old[kind], as_dict(new[kind]))
    if new["training"] != old["training"]:
        _merge_training(_below(spec, "trainingConfig"), old["training"], as_dict(new["training"]))
    if new["aistore"] != old["aistore"]:
        _merge_store(spec, as_dict(new["aistore"]))
    return merged


def rebase(
    form: Mapping[str, Any], base: Mapping[str, Any], current: Mapping[str, Any]
) -> dict[str, Any]:
    """The form with its edits since ``base``, all else as the text stands now (``current``).

    Form and text may be edited faster than the server answers: neither may undo the other.
    """
    return {
        key: form[key]
        if key in form and comparable(form[key]) != comparable(base.get(key))
        else current[key]
        for key in current
    }


def _seconds(form: Mapping[str, Any]) -> Any:
    amount = as_value(form.get("amount"))
    if not isinstance(amount, int | float):
        return amount
    seconds = amount * UNITS.get(str(form.get("unit")), 1)
    return int(seconds) if seconds == int(seconds) else seconds


def _same_style(previous: Any, value: dict[str, Any]) -> Any:
    """JSON text, as the specification writes it or as it was laid out, unless a mapping stood
    there."""
    if isinstance(previous, Mapping):
        return value
    edited = edit_json(previous, value) if isinstance(previous, str) and previous.strip() else None
    return edited or pretty_json(value)


def rows_of(form: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of the search space, None where the form could not read it."""
    if form.get("space") is None:
        return None
    return [row for row in as_list(form["space"]) if isinstance(row, dict)]


def _merge_space(
    spec: dict[str, Any], old: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> None:
    before = read_mapping(spec.get("searchSpace")) or {}
    unchanged = {comparable(row) for row in old}
    space: dict[str, Any] = {}
    for row in rows:
        name = as_text(row.get("name"))
        if not name.strip() or name in space:
            continue  # form_problems says so; a mapping cannot hold it
        if comparable(row) in unchanged:
            space[name] = before[name]
            continue
        was = as_dict(before.get(name))
        extras = {k: v for k, v in was.items() if k not in ("_type", "_value")}
        value = row_value(row)
        if isinstance(value, list) and isinstance(was.get("_value"), list):
            # numbers as they were written: 1.0 stays 1.0
            written = {comparable(v): v for v in was["_value"]}
            value = [written.get(comparable(v), v) for v in value]
        space[name] = {"_type": as_text(row.get("type")), "_value": value, **extras}
    spec["searchSpace"] = _same_style(spec.get("searchSpace"), space)


def row_value(row: Mapping[str, Any]) -> Any:
    """The _value that a row's fields mean."""
    text = row.get("json")
    if isinstance(text, str):
        try:
            return read_json(text)
        except ValueError:
            return text
    if row.get("type") in OPTION_TYPES:
        return as_list(row.get("options"))
    return [as_value(value) for value in as_list(row.get("values"))]


def _merge_tuner(spec: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> None:
    if new["tuner"] == old["tuner"] and new["optimize_mode"] == old["optimize_mode"]:
        return
    before, after = copy.deepcopy(old["tuner"]), copy.deepcopy(as_dict(new["tuner"]))
    for form, mode in ((before, old["optimize_mode"]), (after, new["optimize_mode"])):
        if isinstance(form.get("args"), dict):
            form["args"] = {"optimize_mode": as_text(mode), **form["args"]}
    _merge_algorithm(spec, "tuner", before, after)


def _merge_algorithm(
    spec: dict[str, Any], kind: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    name = as_text(new.get("name"))
    if not name:
        spec.pop(kind, None)
        return
    section = _below(spec, kind)
    if name != old["name"]:
        section[NAME_FIELDS[kind]] = name
    if new.get("args") is None:
        return
    args = read_mapping(section.get("classArgs")) or {}
    settings = {info.name: info for info in _settings(kind, name)}
    if name != old["name"]:  # settings of the algorithm before mean nothing to this one
        gone = {info.name for info in _settings(kind, old["name"])} - set(settings)
        args = {key: value for key, value in args.items() if key not in gone}
    before = as_dict(old["args"])
    for key, text in as_dict(new["args"]).items():
        if key in args and before.get(key) == text:
            continue
        value = _setting_value(settings.get(key), text)
        if value is None:
            args.pop(key, None)
        else:
            args[key] = value
    for key in set(before) - set(as_dict(new["args"])):
        args.pop(key, None)
    if args:
        section["classArgs"] = _same_style(section.get("classArgs"), args)
    else:
        section.pop("classArgs", None)


def _setting_value(info: SettingInfo | None, text: Any) -> Any:
    if text is None or text == "":
        return None
    if info is None or info.type in ("integer", "number"):
        return as_value(text)
    if info.type == "true or false":
        return {"true": True, "false": False}.get(str(text).lower(), text)
    return text


def _merge_training(config: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    framework = as_text(new.get("type"))
    if framework != old["type"]:
        _put(config, "type", framework)
    if new.get("tasks") is None:
        return
    before = as_list(config.get("tasks"))
    tasks = []
    for form in map(as_dict, as_list(new["tasks"])):
        origin = form.get("origin")
        task, was = {}, _task_form(0, {}, "")
        if isinstance(origin, int) and 0 <= origin < len(before):
            task = copy.deepcopy(before[origin])
            was = old["tasks"][origin] if old["tasks"] is not None else was
        _merge_task(task, was, form, old["type"], framework)
        tasks.append(task)
    _put(config, "tasks", tasks)


def _merge_task(
    task: dict[str, Any],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    old_framework: str,
    framework: str,
) -> None:
    def changed(key: str) -> bool:
        return key in new and new[key] != old[key]

    if changed("type"):
        _put(task, "type", as_text(new["type"]))
    if changed("replicas"):
        _put(task, "replicas", as_value(new["replicas"]))
    fields = ("image", "command", "args", "workingDir", "env", "gpus")
    index = main_container(task, old_framework)
    if index is None and not any(changed(key) for key in fields) and task.get("template"):
        return
    if index is None:
        pod = _below(_below(task, "template"), "spec")
        pod["containers"] = [{"name": MAIN_CONTAINER.get(framework, "main")}]
        index = 0
    container = task["template"]["spec"]["containers"][index]
    name = MAIN_CONTAINER.get(old_framework)
    if framework != old_framework and name and container.get("name") == name:
        container["name"] = MAIN_CONTAINER.get(framework, name)
    for key in ("image", "command", "args", "workingDir"):
        if changed(key):
            _put(container, key, new[key])
    if changed("gpus"):
        merge_gpus(container, new["gpus"])
    if changed("env"):
        _put(container, "env", _merge_env(as_list(container.get("env")), as_list(new["env"])))


def _merge_env(before: list[Any], rows: list[Any]) -> list[Any]:
    """References to Secrets and ConfigMaps are kept by name: the form cannot write them."""
    references = {
        as_text(as_dict(row).get("name")): row for row in before if as_dict(row).get("valueFrom")
    }
    found = []
    for row in map(as_dict, rows):
        name = as_text(row.get("name"))
        if row.get("reference"):
            if name in references:
                found.append(references[name])
        elif name or row.get("value"):
            found.append({"name": name, "value": as_text(row.get("value"))})
    return found


def _store_key(spec: Mapping[str, Any]) -> str:
    return next((key for key in _STORES if key in spec), "aistore")


def _merge_store(spec: dict[str, Any], form: Mapping[str, Any]) -> None:
    key = _store_key(spec)
    section = _below(spec, key)
    for field in ("folder", "secret"):
        _put(section, field, as_text(form.get(field)))
    if not section:
        del spec[key]
