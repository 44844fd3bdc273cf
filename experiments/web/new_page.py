"""The new-experiment page: a form and a manifest kept in step by ``sync``.

The page creates nothing itself: it posts the manifest's text to the REST API, which checks it as it
checks everybody's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from experiments.access import policy
from experiments.algorithms.reference import catalogue
from experiments.algorithms.space.parameters import show
from experiments.algorithms.space.search_space import SearchSpace
from experiments.manifest.fields import FRAMEWORKS, REPLICA_TYPES
from experiments.manifest.files import GivenManifest, read_contents
from experiments.manifest.text_edit import edit_text
from experiments.problems import Problem, ProblemsError
from experiments.said import forecast_json, problem_json, problems_json
from experiments.selectors.manifest import manifest_text
from experiments.services import samples
from experiments.services.conversions import convert_upload, foreign
from experiments.services.intake import MAX_BYTES, NOTHING, take_in_file
from experiments.strict_json import read_json
from experiments.templatetags.autotune import number
from experiments.trials.backends import backend
from experiments.web.form_fields import field_of, form_problems, parameter_types
from experiments.web.form_values import read_mapping
from experiments.web.manifest_form import form_from_manifest, merge_form, rebase, rows_of
from experiments.web.warm_start_form import offered

N_PREVIEWS = 4  # sample values beside a row
PREVIEW_SEED = 7
MAX_PREVIEWED = 100  # rows
MAX_IMPORTED = 4 * MAX_BYTES
MOST_IMPORTED = 20  # files

STARTER = """\
apiVersion: tensorstack.dev/v1beta1
kind: AutoTuneExperiment
metadata:
  name: my-experiment
spec:
  maxExecSeconds: 3600
  maxTrialNum: 20
  trialConcurrency: 2
  searchSpace: |-
    {
      "learning_rate": {"_type": "loguniform", "_value": [0.0001, 0.1]}
    }
  trainingConfig:
    type: pytorch
    tasks:
      - type: worker
        replicas: 1
        template:
          spec:
            containers:
              - name: pytorch
                command:
                  - python3
                  - train.py
                workingDir: /path/to/your/code
  tuner:
    builtinTunerName: Auto
    classArgs: |-
      {
        "optimize_mode": "maximize"
      }
"""


@never_cache
@login_required
@require_GET
def experiment_new(request: HttpRequest) -> HttpResponse:
    """The page; ``?from=ID`` starts from an experiment, ``?template=NAME`` from an example.

    ``&learn``: the clone is to learn from the trials of what it starts from.
    """
    text, started_from = STARTER, ""
    if origin := request.GET.get("from"):
        experiment = policy.get_visible(request.user, origin)
        name = _next_name(str(experiment.manifest["metadata"]["name"]))
        learns = {"experiments": [experiment.pk]} if "learn" in request.GET else None
        text = manifest_text(experiment, name=name, warm_start=learns)
        started_from = experiment.name
    elif sample := request.GET.get("template"):
        text, started_from = _sample(sample), sample
    return render(
        request,
        "experiments/new.html",
        {
            "nav": "experiments",
            "started_from": started_from,
            "samples": samples.all_samples(),
            "start": synced_from_yaml(text, request.user),
            "catalogue": {**_catalogue(), "earlier": offered(request.user)},
            "runs_here": backend().runs_here,
        },
    )


@login_required
@require_GET
def template(request: HttpRequest, name: str) -> HttpResponse:
    """Text of an example."""
    return HttpResponse(_sample(name), content_type="text/yaml; charset=utf-8")


@login_required
@require_POST
def sync(request: HttpRequest) -> JsonResponse:
    """``{"yaml"}`` gives the form it means; with ``form`` it gives the YAML with the form's edits.

    ``base`` is the form as the server last answered it: with it, edits of the text made meanwhile
    stay too.
    """
    if len(request.body) > 3 * MAX_BYTES:
        return _refused(_("The manifest must be at most 1 MiB."), 413)
    try:
        data = read_json(request.body)
    except ValueError:
        return _refused(_("The body must be JSON."))
    if not isinstance(data, dict) or not isinstance(data.get("yaml"), str):
        return _refused(_("The body must hold the manifest's text as 'yaml'."))
    form, base = data.get("form"), data.get("base")
    if form is None:
        return JsonResponse(synced_from_yaml(data["yaml"], request.user))
    if not isinstance(form, dict) or not isinstance(base, dict | None):
        return _refused(_("'form' and 'base' must be objects."))
    return JsonResponse(synced_from_form(data["yaml"], form, base, request.user))


@login_required
@require_POST
def import_files(request: HttpRequest) -> JsonResponse:
    """``{"files": [{"name", "text"}]}``, the configuration first: the manifest it becomes.

    Nothing is stored; the answer names what is not as it was, or why it cannot be converted.
    """
    if len(request.body) > MAX_IMPORTED:
        return _refused(_("The files must be at most 4 MiB."), 413)
    try:
        data = read_json(request.body)
    except ValueError:
        return _refused(_("The body must be JSON."))
    given = data.get("files") if isinstance(data, dict) else None
    if not isinstance(given, list) or not 0 < len(given) <= MOST_IMPORTED:
        return _refused(_("The body must hold 'files': a list of names and texts."))
    files: dict[str, str] = {}
    for each in given:
        row = each if isinstance(each, dict) else {}
        name, text = row.get("name"), row.get("text")
        if not isinstance(name, str) or not isinstance(text, str):
            return _refused(_("The body must hold 'files': a list of names and texts."))
        files[name] = text
    try:
        converted = convert_upload(files)
    except ProblemsError as error:
        return JsonResponse({"errors": problems_json(error.problems)}, status=400)
    return JsonResponse({**converted.as_dict(), "left": problems_json(converted.left)})


def _refused(message: str, status: int = 400) -> JsonResponse:
    return JsonResponse({"errors": [{"path": "", "message": message, "hint": ""}]}, status=status)


def _sample(name: str) -> str:
    try:
        return samples.load(name)
    except (KeyError, ValueError, OSError):
        raise Http404(f"No template {name!r}.") from None


def _next_name(name: str) -> str:
    """A clone's name: ``digits`` becomes ``digits-2``, that one ``digits-3``."""
    stem, number = re.fullmatch(r"(.*?)(?:-(\d{1,4}))?", name).groups()  # type: ignore[union-attr]
    suffix = f"-{int(number or 1) + 1}"
    return str(stem)[: 63 - len(suffix)].rstrip("-.") + suffix


# ---- form and manifest in step


def synced_from_yaml(text: str, viewer: Any = None) -> dict[str, Any]:
    """What the form shows for this text. ``form`` is None where the text cannot be read."""
    try:
        given = _the_experiment(text)
    except ProblemsError as error:
        return _answer(text, None, {}, [_shown(p, None) for p in error.problems], viewer)
    if not given.end:  # of a List: the form works on the experiment itself
        text = given.text
    form = form_from_manifest(given.data)
    return _answer(text, form, given.data, [], viewer)


def synced_from_form(
    text: str,
    form: Mapping[str, Any],
    base: Mapping[str, Any] | None = None,
    viewer: Any = None,
) -> dict[str, Any]:
    """The text with the form's edits in it; as it is where it cannot be read."""
    try:
        given = _the_experiment(text)
    except ProblemsError as error:
        return _answer(text, None, {}, [_shown(p, None) for p in error.problems], viewer)
    if base is not None:
        form = rebase(form, base, form_from_manifest(given.data))
    merged = merge_form(given.data, form)
    edited = edit_text(given.text, merged)
    text = text[: given.start] + edited + text[given.end :] if given.end else edited
    # Paths are the merged manifest's; its rows are told from the form's, which may have more.
    read_again = {**form_from_manifest(merged), "space": rows_of(form)}
    return _answer(text, read_again, merged, form_problems(form), viewer)


def _the_experiment(text: str) -> GivenManifest:
    """The one experiment of a text, which may hold other objects beside it."""
    given, *others = read_contents(text).manifests
    if (other := foreign(given.data, given.line_of(""))) is not None:
        raise ProblemsError([other])
    if others:
        message = f"The text holds {1 + len(others)} experiments, but the form edits one at a time."
        hint = f"Leave one of them here. {settings.COMMAND} run and REST take such a file whole."
        raise ProblemsError([Problem("", message, hint, others[0].line_of(""))])
    return given


def _shown(problem: Problem, form: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**problem_json(problem), "field": field_of(problem.path, form)}


def _answer(
    text: str,
    form: dict[str, Any] | None,
    manifest: Mapping[str, Any],
    problems: list[dict[str, Any]],
    viewer: Any,
) -> dict[str, Any]:
    warnings: list[dict[str, Any]] = []
    forecast = None
    can_start = True
    if form is not None:
        found = take_in_file(text.encode(errors="replace"), viewer=viewer)
        problems = problems + [_shown(p, form) for p in found.problems]
        warnings = [_shown(p, form) for p in found.warnings]
        intake = found.experiments[0][1] if found.experiments else NOTHING
        can_start = intake.can_start
        if intake.forecast is not None and intake.parsed is not None:
            spec = intake.parsed.spec
            forecast = {
                **forecast_json(intake.forecast.as_dict()),
                "max_trials": spec.max_trials,
                "concurrency": min(spec.concurrency, spec.max_trials or spec.concurrency),
            }
    return {
        "yaml": text,
        "form": form,
        "base": None if form is None else form_from_manifest(manifest),
        "problems": problems,
        "warnings": warnings,
        "can_start": can_start,
        "forecast": forecast,
        "previews": _previews(manifest),
    }


def _previews(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """A few values of each parameter that can be read, whatever is wrong elsewhere."""
    spec = manifest.get("spec")
    space = read_mapping(spec.get("searchSpace")) if isinstance(spec, Mapping) else None
    found: dict[str, list[str]] = {}
    for name, entry in list((space or {}).items())[:MAX_PREVIEWED]:
        try:
            parameter = SearchSpace.parse({name: entry}, "")
        except ProblemsError:
            continue
        rng = np.random.default_rng(PREVIEW_SEED)
        drawn = [parameter.sample(rng)[name] for _ in range(N_PREVIEWS)]
        found[name] = [number(v) if isinstance(v, float) else show(v) for v in drawn]
    return found


# ---- what there is to choose from


def _catalogue() -> dict[str, Any]:
    return {
        "types": parameter_types(),
        **catalogue(_),
        "frameworks": list(FRAMEWORKS),
        "replica_types": {**{name: [] for name in FRAMEWORKS}, **REPLICA_TYPES},
        "urls": {
            "sync": reverse("experiment-sync"),
            "import": reverse("experiment-import"),
            "create": reverse("api-experiments"),
            "template": reverse("experiment-template", args=["NAME"]),
        },
    }
