"""Pages that set things side by side; their addresses say which, so that a link shows the same.

An address that names too few, too many or unknown ones gets a plain page that says what must hold
and what came, with a field to mend it in.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from experiments.access import policy
from experiments.problems import Problem, ProblemsError
from experiments.selectors import across, compare, present


@login_required
@never_cache
@require_safe
def compare_trials(request: HttpRequest, experiment_id: str) -> HttpResponse:
    experiment = policy.get_visible(request.user, experiment_id)
    asked = request.GET.get("trials", "")
    context: dict[str, Any] = {"nav": "experiments", "experiment": experiment}
    try:
        trials = compare.chosen_trials(experiment, asked)
    except ProblemsError as error:
        context |= {"problems": error.problems, "asked": asked[:200]}
        return render(request, "experiments/compare_refused.html", context, status=400)
    numbers = ",".join(str(trial.number) for trial in trials)
    context |= {
        "numbers": numbers,
        "compare": compare.LIMITS,
        "trials": trials,
        "state": {
            "cursor": experiment.last_seq,
            "experiment": present.experiment_json(experiment),
            "comparison": compare.compare_json(experiment, trials),
        },
    }
    return render(request, "experiments/compare.html", context)


@login_required
@never_cache
@require_safe
def compare_experiments(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("ids", "")
    context: dict[str, Any] = {"nav": "experiments"}
    try:
        experiments = across.chosen_experiments(policy.visible_experiments(request.user), asked)
    except (ProblemsError, Http404) as error:
        is_gone = isinstance(error, Http404)
        problems = [Problem("ids", str(error))] if isinstance(error, Http404) else error.problems
        context |= {"problems": problems, "asked": asked[:200]}
        status = 404 if is_gone else 400
        return render(request, "experiments/across_refused.html", context, status=status)
    context |= {
        "ids": ",".join(experiment.pk for experiment in experiments),
        "experiments": experiments,
        "state": across.across_json(experiments),
    }
    return render(request, "experiments/across.html", context)
