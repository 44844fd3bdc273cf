"""Every search type times values at the edge, from the parser to the page: no 500, no ERROR.

The table is generated: each value stands at each place of each type. What the parser takes is then
proposed by every algorithm, reported, judged, drawn, exported and shown; what it does not take is a
problem with a path, never an exception.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import yaml
from asgiref.sync import async_to_sync

from experiments.access.tokens import trial_token
from experiments.aistore.facts import experiment_facts, run_facts
from experiments.aistore.run_files import folder_description, run_files
from experiments.algorithms import registry
from experiments.algorithms.settings import describe
from experiments.algorithms.space.reading import TYPES
from experiments.algorithms.space.search_space import SearchSpace
from experiments.charts import CHARTS, scale
from experiments.engine import session
from experiments.manifest.fields import NAME_FIELDS
from experiments.manifest.spec import ExperimentSpec, parse_manifest
from experiments.manifest.yaml_text import load_yaml
from experiments.models import Experiment, Metric
from experiments.problems import Problem, ProblemsError
from experiments.reports.trial_api import TrialApi
from experiments.selectors.export import export_json
from experiments.states import Phase, TrialState
from tests.charts.records import curve, record, trial
from tests.manifest.manifests import small

pytestmark = pytest.mark.long

LARGEST = sys.float_info.max
NUMBERS = [
    0, -0.0, -1, 1, 0.5, 1e308, -1e308, LARGEST, -LARGEST, 1e300, -1e300, 5e-324, -5e-324,
    2.3e-308, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**64, 10**400,
    math.nan, math.inf, -math.inf,
]  # fmt: skip
OTHERS: list[Any] = [
    "", " ", "号 é \u202e😀", "x" * 10_000, "1", "null", "<b>", "=1+1", "a,b", 'q"\'', "\\", "NaN",
    None, True, False, [], {}, [[1], "1"], {"k": 2**53 + 1}, {"a": {"b": [1, "1"]}},
]  # fmt: skip
# what trials report: finite numbers are results, the others gaps
REPORTED = [0.5, 0.4, LARGEST, -LARGEST, 5e-324, 0.0, 1e300, -1.0, 2.0**53, 0.3]
STEPS = [0.0, -1.0, LARGEST, -LARGEST, 5e-324, 2.0**53 + 2, 1e308, 0.5, -0.0, 1e-300]


def nodes(type_: str) -> Iterator[Any]:
    """Every ``_value`` of the type with each edge value at each place."""
    values = [*NUMBERS, *OTHERS]
    if type_ in ("choice", "layer_choice"):
        yield values
        yield [v for v in values if isinstance(v, (int, float)) and math.isfinite(min(v, 1e300))]
        for value in values:
            yield [value]
            yield [value, "other", 3]
    elif type_ == "input_choice":
        for value in values:
            yield {"candidates": [value, "a"], "n_chosen": 1}
            yield {"candidates": ["a", "b"], "n_chosen": value}
            yield {"candidates": value, "n_chosen": None}
    else:
        n_places = 3 if type_.startswith("q") else 2
        for value in values:
            yield value
            for place in range(n_places):
                usual: list[Any] = [0.25, 2.0, 0.25]
                if type_ == "randint":
                    usual = [1, 7]
                usual[place] = value
                yield usual[:n_places]
        for low, high in ((-1e300, 1e300), (1e-300, 1e300), (5e-324, 1e-323), (-(2**53), 2**53)):
            yield [low, high, max(abs(low), abs(high)) / 8][:n_places]


def is_taken(node: dict[str, Any]) -> bool:
    problems: tuple[Problem, ...] = ()
    try:
        space = SearchSpace.parse({"p": node})
    except ProblemsError as error:
        problems = error.problems
    for problem in problems:
        assert problem.path.startswith("spec.searchSpace.p")
        assert 0 < len(problem.message) < 500
    if problems:
        return False
    assert SearchSpace.parse(space.as_json()) == space
    return True


@cache
def taken(type_: str) -> dict[str, Any]:
    """One space of all nodes of a type that the parser takes."""
    found: dict[str, Any] = {}
    for value in nodes(type_):
        node = {"_type": type_, "_value": value}
        if is_taken(node):
            found[f"p{len(found)}"] = node
    return found


@pytest.mark.parametrize("type_", TYPES)
def test_the_parser_takes_or_explains(type_: str) -> None:
    found = taken(type_)
    assert found, "nothing of this type is taken: the table tests nothing"
    assert len(found) < sum(1 for _ in nodes(type_)), "nothing is refused"


@pytest.mark.parametrize("type_", TYPES)
def test_a_manifest_with_it_is_taken_or_explained(type_: str) -> None:
    for value in nodes(type_):
        space = {"p": {"_type": type_, "_value": value}}
        for written in (space, json.dumps(space)):
            problems: tuple[Problem, ...] = ()
            try:
                parse_manifest(small({"spec.searchSpace": written}))
            except ProblemsError as error:
                problems = error.problems
            assert all(problem.path.startswith("spec.searchSpace") for problem in problems)
            assert bool(problems) != is_taken(space["p"])


def variants(entry: registry.Entry) -> Iterator[dict[str, Any]]:
    """As it comes, and with each other word that one of its settings may be."""
    yield {}
    for info in describe(entry.args):
        for word in info.choices if info.name != "optimize_mode" else ():
            if word != info.default:
                yield {info.name: word}


CHOOSERS = [
    pytest.param(kind, entry.name, given, id="-".join([kind, entry.name, *given.values()]))
    for kind in ("tuner", "advisor")
    for entry in registry.KINDS[kind].values()
    if entry.available
    for given in variants(entry)
]
# so that models are asked for after few trials
QUICK = {
    "GPTuner": {"cold_start_num": 3, "selection_num_warm_up": 20},
    "MetisTuner": {"cold_start_num": 3, "selection_num_starting_points": 20},
    "TPE": {"n_startup_jobs": 3},
    "Evolution": {"population_size": 3},
    "PBTTuner": {"population_size": 3},
    "CMA-ES": {"population_size": 4},
    "PPOTuner": {"trials_per_update": 3, "epochs_per_update": 1},
    "BOHB": {"random_fraction": 0.0, "min_budget": 1, "max_budget": 1},
    "Hyperband": {"R": 3},
}
MOST_PARAMETERS = 12  # of one space: models grow with them


def specs(
    type_: str, kind: str, name: str, mode: str, given: dict[str, Any]
) -> Iterator[ExperimentSpec]:
    """Experiments over all that is taken of a type, in spaces of a size that can be modelled."""
    entry = registry.KINDS[kind][name]
    space = taken(type_)
    names = list(space)
    step = entry.n_parameters or MOST_PARAMETERS
    for start in range(0, len(names), step):
        part = {key: space[key] for key in names[start : start + step]}
        if registry.unsupported(entry, SearchSpace.parse(part)):
            continue
        arguments = {"optimize_mode": mode, **QUICK.get(name, {}), **given}
        chooser = {NAME_FIELDS[kind]: name, "classArgs": arguments}
        changes = {"spec.tuner": None, f"spec.{kind}": chooser, "spec.searchSpace": part}
        yield parse_manifest(small(changes)).spec


@pytest.mark.parametrize(("kind", "name", "given"), CHOOSERS)
@pytest.mark.parametrize("type_", TYPES)
def test_every_tuner_and_advisor_searches_it_whatever_is_reported(
    type_: str, kind: str, name: str, given: dict[str, Any]
) -> None:
    mode = "minimize" if len(type_ + name) % 2 else "maximize"
    for spec in specs(type_, kind, name, mode, given):
        records: list[session.TrialSoFar] = []
        for _ in range(3):
            proposal = session.propose(spec, records, 3, seed=5)
            for suggestion in proposal.suggestions:
                assert suggestion.remark == "", "it could not compute"
                plain = json.loads(json.dumps(suggestion.parameters, allow_nan=False))
                assert plain == suggestion.parameters
                n = len(records)
                state = TrialState.FAILED if n % 5 == 4 else TrialState.SUCCEEDED
                state = TrialState.RUNNING if n == 3 else state  # it lies, where tuners do
                value = REPORTED[n % len(REPORTED)]
                note = suggestion.note
                records.append(
                    session.TrialSoFar(n, suggestion.parameters, state, value, note=note)
                )
            if proposal.exhausted:
                break
        assert records


@pytest.mark.parametrize("name", list(registry.ASSESSORS))
@pytest.mark.parametrize("mode", ["maximize", "minimize"])
def test_every_assessor_judges_whatever_is_reported(name: str, mode: str) -> None:
    arguments: dict[str, Any] = {"optimize_mode": mode}
    if name == "Curvefitting":
        arguments |= {"epoch_num": 12, "start_step": 3}
    assessor = {NAME_FIELDS["assessor"]: name, "classArgs": arguments}
    spec = parse_manifest(small({"spec.assessor": assessor})).spec
    everything = [*REPORTED, math.nan, math.inf, -math.inf]

    def curve_of(n: int, n_points: int) -> tuple[tuple[int, float], ...]:
        return tuple((i, everything[(n + n // 4 * i) % len(everything)]) for i in range(n_points))

    others = [
        session.TrialSoFar(n, {}, TrialState.SUCCEEDED, REPORTED[n % 10], curve_of(n, 12))
        for n in range(30)
    ]
    n_judged = 0
    for n in range(13):
        for n_points in range(1, 12):
            running = session.TrialSoFar(99, {}, TrialState.RUNNING, curve=curve_of(n, n_points))
            for rivals in ([], others[:4], others):
                verdict = session.assess(spec, running, rivals)
                assert "could not compute" not in verdict.reason
                n_judged += bool(verdict.data)
    assert n_judged > 100


def configurations(type_: str, n: int) -> list[dict[str, Any]]:
    spec = parse_manifest(
        small({"spec.searchSpace": taken(type_), "spec.tuner": {"builtinTunerName": "Random"}})
    ).spec
    return [s.parameters for s in session.propose(spec, [], n, seed=3).suggestions]


def places(figure: dict[str, Any]) -> Iterator[float]:
    """Every number that the browser makes an axis from."""
    for trace in figure["data"]:
        rows = [trace.get("x"), trace.get("y")]
        rows += [row["values"] for row in trace.get("dimensions", ())]
        for row in rows:
            yield from (place for place in row or () if isinstance(place, (int, float)))
    for name in ("xaxis", "yaxis"):
        ends = figure["layout"].get(name, {}).get("range", ())
        yield from (end for end in ends if not isinstance(end, str))  # a date


@pytest.mark.parametrize("kind", CHARTS)
@pytest.mark.parametrize("type_", TYPES)
def test_every_chart_draws_it(type_: str, kind: str) -> None:
    given = configurations(type_, 10)
    trials = [trial(n, REPORTED[n], parameters=p) for n, p in enumerate(given)]
    curves = [
        curve(n, [*REPORTED[n:], math.nan], step=np.array([*STEPS[n:], math.nan]))
        for n in range(10)
    ]
    for mode in ("maximize", "minimize"):
        for options in ({}, {"log": "1"}, {"clip": "0"}, {"trial": "3"}, {"top": "30"}):
            figure = CHARTS[kind].draw(record(trials, curves, mode, taken(type_)), options)
            json.dumps(figure, allow_nan=False)
            assert all(abs(place) < 1.2 * scale.DRAWABLE for place in places(figure))  # padded
    if kind == "parcoords":
        asked = json.dumps(list(taken(type_))[:50])
        figure = CHARTS[kind].draw(record(trials, space=taken(type_)), {"axes": asked})
        for dimension in figure["data"][0]["dimensions"]:
            low, high = dimension["range"]
            assert 0 < high - low < math.inf
            assert all(low <= place <= high for place in dimension["values"])


USUAL = {
    "choice": [1, "1"], "randint": [0, 9], "uniform": [0, 1], "quniform": [0, 10, 1],
    "loguniform": [1e-5, 1], "qloguniform": [1, 100, 1], "normal": [0, 1], "qnormal": [0, 1, 1],
    "lognormal": [0, 1], "qlognormal": [0, 1, 1],
}  # fmt: skip


@pytest.mark.parametrize("type_", [*USUAL, ""])
def test_a_custom_trials_value_has_its_place_whatever_the_space_says(type_: str) -> None:
    finite = [v for v in NUMBERS if isinstance(v, int) or math.isfinite(v)]
    space = {"p": {"_type": type_, "_value": USUAL[type_]}} if type_ else {}
    for values in (finite, [*finite, *OTHERS]):
        for step, n_trials in ((1, 2), (3, 2), (7, 3), (1, 9), (1, len(values))):
            for start in range(len(values)):
                chosen = [values[(start + step * n) % len(values)] for n in range(n_trials)]
                trials = [
                    trial(n, REPORTED[n % 10], parameters={"p": value} if n != 7 else {})
                    for n, value in enumerate(chosen)
                ]
                figure = CHARTS["parcoords"].draw(record(trials, space=space), {"axes": '["p"]'})
                _, dimension = figure["data"][0]["dimensions"]
                low, high = dimension["range"]
                assert 0 < high - low < math.inf
                assert all(low <= place <= high for place in dimension["values"]), chosen
                assert len(dimension["tickvals"]) == len(set(dimension["ticktext"]))


# ---- over the web

_PLAIN_NAME = "default"


def stored(type_: str, make_experiment: Any, make_trial: Any) -> Experiment:
    """An experiment of the type with trials that reported everything."""
    experiment: Experiment = make_experiment({"searchSpace": json.dumps(taken(type_))})
    for n, parameters in enumerate(configurations(type_, 10)):
        value = REPORTED[n]
        made = make_trial(
            experiment, parameters=parameters, state=TrialState.SUCCEEDED, value=value,
            metrics={"default": value, "a,b": "NaN", "号": -LARGEST}, n_reports=3,
            latest_value=value, latest_sequence=2, has_final=True,
            started_at=experiment.created_at, finished_at=experiment.created_at,
        )  # fmt: skip
        for sequence, (reported, word) in enumerate(
            [(value, ""), (None, "NaN"), (REPORTED[-n], "")]
        ):
            Metric.objects.create(
                trial=made, experiment=experiment, kind="PERIODICAL", sequence=sequence,
                step=STEPS[(n + sequence) % 10],
                name=_PLAIN_NAME, value=reported, nonfinite=word, time=experiment.created_at,
                seq=experiment.next_seq(),
            )  # fmt: skip
    Experiment.objects.filter(pk=experiment.pk).update(best_trial=made)
    return experiment


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("type_", TYPES)
def test_every_page_export_and_answer_shows_it(
    type_: str, client: Any, make_experiment: Any, make_trial: Any
) -> None:
    experiment = stored(type_, make_experiment, make_trial)
    page, rest = f"/experiments/{experiment.pk}/", f"/api/v1/experiments/{experiment.pk}/"
    for path in ("/", page, f"{page}trials/3/", f"/experiments/new/?from={experiment.pk}"):
        answer = client.get(path, follow=True)
        assert answer.status_code == 200, path
    expected = {t.number: t.parameters for t in experiment.trials.all()}
    for order in ("number", "-value", *(f"param:{name}" for name in list(taken(type_))[:8])):
        query = urlencode({"order": order, "page_size": 50})
        answer = client.get(f"{rest}trials/?{query}")
        assert answer.status_code == 200, answer.content
        shown = {t["number"]: t["parameters"] for t in strict(answer.content.decode())["results"]}
        assert shown == expected  # integers beyond 2^53 too, and 1 is not "1"
        assert json.dumps(shown, sort_keys=True) == json.dumps(expected, sort_keys=True)
    for kind in CHARTS:
        answer = client.get(f"{rest}charts/{kind}/")
        assert answer.status_code == 200, kind
        strict(answer.content.decode())
    for format_ in ("json", "csv", "yaml", "html"):
        answer = client.get(f"{rest}export/?format={format_}")
        assert answer.status_code == 200, format_
        body = b"".join(answer) if answer.streaming else answer.content
        if format_ == "json":
            trials = strict(body.decode())["trials"]
            assert {t["number"]: t["parameters"] for t in trials} == expected
        if format_ == "yaml":
            trials = yaml.safe_load(body)["trials"]
            assert {t["number"]: t["parameters"] for t in trials} == expected


@pytest.mark.parametrize("type_", TYPES)
def test_every_other_door_hands_it_over(
    type_: str, client: Any, make_experiment: Any, make_trial: Any
) -> None:
    experiment = stored(type_, make_experiment, make_trial)
    rest = f"/api/v1/experiments/{experiment.pk}/"
    made = experiment.trials.get(number=3)
    for path in ("", "events/", "trials/3/", "trials/3/metrics/"):
        answer = client.get(f"{rest}{path}")
        assert answer.status_code == 200, path
        strict(answer.content.decode())
    assert exactly(client.get(f"{rest}trials/3/").json()["parameters"]) == exactly(made.parameters)
    listed = strict(client.get("/api/v1/experiments/").content.decode())["results"]
    assert exactly(listed[0]["best"]["parameters"]) == exactly(experiment.trials.last().parameters)  # type: ignore[union-attr]
    json.dumps(export_json(experiment), allow_nan=False)  # `run --json`
    # the manifest goes out, through the form and into a copy without a change
    text = client.get(f"{rest}manifest/").content.decode()
    assert exactly(space_of(text)) == exactly(taken(type_))
    first = client.post("/experiments/new/sync/", {"yaml": text}, "application/json").json()
    assert (first["problems"], first["form"] is None) == ([], False)
    form = {**first["form"], "max_trials": "9"}
    changed = {"yaml": text, "form": form, "base": first["base"]}
    answer = client.post("/experiments/new/sync/", changed, "application/json")
    assert answer.json()["problems"] == []
    assert exactly(space_of(answer.json()["yaml"])) == exactly(taken(type_))
    copy = client.post(f"{rest}clone/", {}, "application/json")
    assert copy.status_code == 201, copy.content
    again = client.get(f"/api/v1/experiments/{copy.json()['id']}/manifest/").content.decode()
    assert exactly(space_of(again)) == exactly(taken(type_))


@pytest.mark.parametrize("type_", TYPES)
def test_aistore_is_given_it(type_: str, make_experiment: Any, make_trial: Any) -> None:
    experiment = stored(type_, make_experiment, make_trial)
    Experiment.objects.filter(pk=experiment.pk).update(phase=Phase.DONE)
    experiment.refresh_from_db()
    assert folder_description(experiment_facts(experiment))
    for made in experiment.trials.all():
        files = dict(run_files(run_facts(experiment, made)))
        # as its reader does: PyYAML, YAML 1.1
        read = {name: yaml.safe_load(text) for name, text in files.items() if name.endswith("yaml")}
        assert exactly(read["hyperparameters.yaml"]) == exactly(made.parameters)
        values = [point["value"][_PLAIN_NAME] for point in read["metrics/val.yaml"]]
        assert values == [made.value, REPORTED[-made.number]]


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.django_db(transaction=True)
def test_a_trial_gets_it_through_either_sdk(
    type_: str, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment({"searchSpace": json.dumps(taken(type_))})
    api = TrialApi(nothing)
    for parameters in configurations(type_, 5):
        made = make_trial(experiment, parameters=parameters, state=TrialState.RUNNING)
        token = trial_token(made)
        given = fetched(api, f"/t/{token}/apis/v1/parameter/{made.key}")
        assert exactly(given["parameters"]) == exactly(parameters)
        given = strict(fetched(api, f"/n/{token}")["parameter"])
        assert exactly(given["parameters"]) == exactly(parameters)


async def nothing(*_: Any) -> None:
    raise AssertionError("it is the trial API's own")


def fetched(api: TrialApi, path: str) -> Any:
    """What a GET answers."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    async_to_sync(api)(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return strict(sent[1]["body"].decode())


def exactly(data: Any) -> str:
    """1 is not 1.0, not true, and not "1"; the order of names does not count."""
    return json.dumps(data, sort_keys=True)


def space_of(text: str) -> Any:
    found = load_yaml(text).data["spec"]["searchSpace"]
    return json.loads(found) if isinstance(found, str) else found


@pytest.mark.parametrize("type_", TYPES)
def test_a_filter_finds_each_value_again(
    type_: str, client: Any, make_experiment: Any, make_trial: Any
) -> None:
    experiment = stored(type_, make_experiment, make_trial)
    url = f"/api/v1/experiments/{experiment.pk}/trials/"
    for made in experiment.trials.all()[:3]:
        for name, value in list(made.parameters.items())[:40]:
            if not isinstance(value, (int, float, str)) or len(str(value)) > 1000:
                continue
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value
            if isinstance(value, bool):
                text = str(value).lower()
            answer = client.get(url, {"where": f"param:{name} = {text}"})
            assert answer.status_code == 200, (name, value, answer.content)
            assert made.number in [t["number"] for t in answer.json()["results"]], (name, value)
