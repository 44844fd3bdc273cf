"""The manifest: one parser for every mouth (form, YAML, REST, command line, operator).

A manifest (a mapping, or YAML or JSON text) becomes a frozen ExperimentSpec, or ProblemsError with
every problem at once: path, message, hint and, from text, the line. ``to_manifest`` writes a spec
back so that parsing it again gives an equal spec. Field names at the edge are the platform's
(``maxTrialNum``, ``builtinTunerName``, …); a spec's own are ours (``max_trials``, ``tuner.name``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.algorithms.space.batch import BatchSpace
from experiments.algorithms.space.search_space import SearchSpace
from experiments.manifest import reading
from experiments.manifest.algorithm_spec import (
    DEFAULT_MODE,
    AlgorithmSpec,
    parse_algorithm,
    read_json_mapping,
)
from experiments.manifest.elsewhere_spec import GROWING, ElsewhereSpec, parse_elsewhere
from experiments.manifest.fields import (
    AISTORE,
    ALIKE,
    API_VERSION,
    BREAKER,
    EITHER,
    KIND,
    LEGACY_STORES,
    NAME_FIELDS,
    NO_END,
    NO_END_HINT,
    NO_TUNER,
    SPEC,
)
from experiments.manifest.initial_spec import Initial, parse_initial
from experiments.manifest.json_text import pretty_json
from experiments.manifest.local_section import parse_local
from experiments.manifest.local_spec import LocalSpec
from experiments.manifest.metadata import parse_metadata, without_status
from experiments.manifest.metrics_spec import MetricsSpec, parse_metrics
from experiments.manifest.placeholders import check_placeholders, check_word
from experiments.manifest.quantity import HINT as QUANTITY_HINT
from experiments.manifest.quantity import parse_quantity
from experiments.manifest.reading import LineOf, Notes, at
from experiments.manifest.training_spec import TaskSpec, TrainingSpec, parse_training
from experiments.manifest.warm_start_spec import WarmStartSpec, parse_warm_start
from experiments.manifest.yaml_text import load_yaml
from experiments.problems import Problem, ProblemsError
from experiments.redaction import KEY

__all__ = [
    "AIStoreSpec",
    "AlgorithmSpec",
    "ElsewhereSpec",
    "ExperimentSpec",
    "LocalSpec",
    "Parsed",
    "Problem",
    "ProblemsError",
    "TaskSpec",
    "TrainingSpec",
    "lacks_limits",
    "parse_manifest",
    "parse_text",
    "to_manifest",
    "without_status",
]


@dataclass(frozen=True)
class AIStoreSpec:
    """Where the experiment's data is uploaded."""

    folder: str  # a folder's ID
    secret: str  # name of the Secret that holds the API key


@dataclass(frozen=True)
class ExperimentSpec:
    """What the user asked for, checked."""

    name: str
    max_exec_seconds: int | None  # one of these two may be None: no such limit
    max_trials: int | None
    concurrency: int
    space: SearchSpace
    training: TrainingSpec
    tuner: AlgorithmSpec | None = None
    assessor: AlgorithmSpec | None = None
    advisor: AlgorithmSpec | None = None  # set only when there is no tuner
    storage: str = ""  # a quantity, as given
    aistore: AIStoreSpec | None = None
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    max_trial_seconds: int | None = None
    alike: int = ALIKE  # failures alike that suspend it; 0: none do
    local: LocalSpec = field(default_factory=LocalSpec)  # read by the local engine only
    metrics: MetricsSpec | None = None  # None: trials report by themselves
    elsewhere: ElsewhereSpec | None = None  # programs run the trials; ``training`` is empty then
    warm_start: WarmStartSpec | None = None
    seed: int | None = None  # None: the server chooses one
    initial: Initial = ()  # tried first, in order; partial ones too

    @property
    def optimize_mode(self) -> str:
        """``maximize`` or ``minimize``: what "best" means to the user."""
        chooser = self.tuner or self.advisor
        return chooser.optimize_mode if chooser else DEFAULT_MODE

    @property
    def maximizes(self) -> bool:
        return self.optimize_mode == "maximize"

    @property
    def adds(self) -> tuple[str, ...]:
        """Names that a trial's parameters have beside those of the search space."""
        chooser = self.tuner or self.advisor
        return chooser.entry.adds if chooser else ()


@dataclass(frozen=True)
class Parsed:
    spec: ExperimentSpec
    warnings: tuple[Problem, ...] = ()
    line_of: LineOf | None = field(default=None, compare=False, repr=False)  # of the text, if any


def parse_text(text: str | bytes) -> Parsed:
    """Parse YAML or JSON text. Raises ProblemsError; problems and warnings carry lines."""
    loaded = load_yaml(text)
    return parse_manifest(loaded.data, line_of=loaded.line_of)


def parse_manifest(data: Mapping[str, Any], *, line_of: LineOf | None = None) -> Parsed:
    """Parse a manifest given as a mapping. Raises ProblemsError with every problem found."""
    notes = Notes(line_of)
    if not isinstance(data, Mapping):
        raise ProblemsError([Problem("", f"must be a mapping, but got {reading.kind_of(data)}.")])
    problems = reading.plain_problems(data)
    if problems:
        notes.absorb(ProblemsError(problems))
        notes.raise_if_any()
    _check_top(notes, data)
    metadata = parse_metadata(notes, data.get("metadata"))
    body = reading.mapping(notes, data.get("spec"), "spec", required=True)
    spec = _spec(notes, body, metadata) if body else None
    notes.raise_if_any()
    assert spec is not None
    return Parsed(spec, tuple(sorted(notes.warnings, key=lambda p: p.line or 0)), line_of)


def _check_top(notes: Notes, data: Mapping[str, Any]) -> None:
    reading.check_keys(notes, data, "", ("apiVersion", "kind", "metadata", "spec", "status"),
                       {key: f"It belongs below: spec.{key}." for key in SPEC.keys})  # fmt: skip
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        hint = f"Write '{key}: {expected}'."
        given = reading.text(notes, data.get(key), key, required=True, hint=hint)
        if given and given != expected:
            notes.error(key, f"must be '{expected}', but got '{given[:60]}'.", hint)
    if data.get("status") is not None:
        notes.warn("status", "The status is set by the server; it is ignored here.")


def _spec(
    notes: Notes, raw: Mapping[str, Any], metadata: Mapping[str, Any]
) -> ExperimentSpec | None:
    reading.check_keys(
        notes, raw, "spec", SPEC.keys,
        {name: f"It belongs into its section: spec.{kind}.{name}."
         for kind, name in NAME_FIELDS.items()}
        | {"maxTrialNumber": "Did you mean 'maxTrialNum'?"},
    )  # fmt: skip
    limits = _limits(notes, raw)
    elsewhere = parse_elsewhere(notes, raw, "spec.elsewhere")
    grows = elsewhere is not None and elsewhere.grows
    space = _space(notes, raw.get("searchSpace"), "spec.searchSpace", may_be_empty=grows)
    storage = _storage(notes, raw.get("storage"))
    aistore = _aistore(notes, raw)
    alike = _alike(notes, raw.get("breaker"))
    local = parse_local(notes, raw.get("local"))
    metrics = parse_metrics(notes, raw.get("metrics"), "spec.metrics")
    warm_start = parse_warm_start(notes, raw.get("warmStart"))
    training = TrainingSpec("", ())
    if elsewhere is None:
        training = parse_training(notes, raw.get("trainingConfig"), "spec.trainingConfig")
    tuner, assessor, advisor = _algorithms(notes, raw, space)
    if grows:
        _check_growing(notes, tuner, advisor)
    if notes.problems or space is None:
        return None
    initial = parse_initial(notes, raw.get("initial"), space, tuner, limits["maxTrialNum"])
    if tuner and tuner.name == "Batch":
        space = BatchSpace(space)
    _check_placeholders(notes, training, metrics, space, tuner or advisor)
    return ExperimentSpec(
        **metadata,
        max_exec_seconds=limits["maxExecSeconds"],
        max_trials=limits["maxTrialNum"],
        max_trial_seconds=limits["maxTrialSeconds"],
        concurrency=limits["trialConcurrency"] or 0,
        space=space,
        training=training,
        tuner=tuner,
        assessor=assessor,
        advisor=advisor,
        storage=storage,
        aistore=aistore,
        alike=alike,
        local=local,
        metrics=metrics,
        elsewhere=elsewhere,
        warm_start=warm_start,
        initial=initial,
        seed=chooser.args.seed if (chooser := tuner or advisor) else None,
    )


def _limits(notes: Notes, raw: Mapping[str, Any]) -> dict[str, int | None]:
    found = {}
    for key in ("maxExecSeconds", "maxTrialNum", "maxTrialSeconds", "trialConcurrency"):
        check = SPEC.whole(key).check
        if key in EITHER:  # required in the cluster alone, see lacks_limits
            check["required"] = False
        found[key] = reading.whole_number(notes, raw.get(key), at("spec", key), **check)
    if all(raw.get(key) is None for key in EITHER):
        notes.error("spec.maxTrialNum", NO_END, NO_END_HINT)
    _compare_limits(notes, found["maxTrialNum"], found["trialConcurrency"])
    return found


def lacks_limits(spec: ExperimentSpec) -> list[Problem]:
    """What keeps the spec from being an object of a cluster, whose specification needs both."""
    limits = {"maxTrialNum": spec.max_trials, "maxExecSeconds": spec.max_exec_seconds}
    message = "is required in a cluster's AutoTuneExperiment."
    return [
        Problem(at("spec", name), message, SPEC.whole(name).hint)
        for name, value in limits.items()
        if value is None
    ]


def _compare_limits(notes: Notes, max_trials: int | None, concurrency: int | None) -> None:
    if max_trials is not None and concurrency is not None and concurrency > max_trials:
        notes.warn(
            "spec.trialConcurrency",
            f"At most maxTrialNum={max_trials} trials will ever run at once, not {concurrency}.",
        )


def _check_growing(
    notes: Notes, tuner: AlgorithmSpec | None, advisor: AlgorithmSpec | None
) -> None:
    if advisor is not None or (tuner is not None and tuner.name not in GROWING):
        chosen = tuner or advisor
        assert chosen is not None
        message = f"{chosen.name} cannot search a space that grows (spec.elsewhere.grows)."
        notes.error(f"spec.{chosen.kind}", message, f"Take one of {', '.join(GROWING)}.")


def _space(notes: Notes, raw: Any, path: str, *, may_be_empty: bool = False) -> SearchSpace | None:
    if may_be_empty and (raw is None or raw == {} or str(raw).split() in (["{}"], ["{", "}"])):
        return SearchSpace({})
    if raw is None or raw == {} or (isinstance(raw, str) and not raw.strip()):
        notes.error(
            path,
            "is required: at least one parameter.",
            'E.g. {"lr": {"_type": "loguniform", "_value": [0.0001, 0.1]}}.',
        )
        return None
    data = read_json_mapping(notes, raw, path)
    if data is None:
        return None
    try:
        space = SearchSpace.parse(data, path)
    except ProblemsError as error:
        notes.absorb(error)
        return None
    notes.absorb_warnings(space.warnings)
    return space


def _check_placeholders(
    notes: Notes,
    training: TrainingSpec,
    metrics: MetricsSpec | None,
    space: SearchSpace,
    chooser: AlgorithmSpec | None,
) -> None:
    adds = chooser.entry.adds if chooser else ()
    if metrics is not None:
        check_word(notes, metrics.file, "spec.metrics.file", space, adds)
        check_word(notes, metrics.tensorboard, "spec.metrics.tensorboard", space, adds)
    for number, task in enumerate(training.tasks):
        path = f"{at('spec.trainingConfig.tasks', number)}.template.spec"
        pod = task.template["spec"]
        for kind in ("containers", "initContainers"):
            for place, container in enumerate(pod.get(kind) or []):
                check_placeholders(notes, container, at(at(path, kind), place), space, adds)


def _storage(notes: Notes, raw: Any) -> str:
    if raw is None:
        return ""
    amount = parse_quantity(raw)
    if amount is None or amount <= 0:
        notes.error(
            "spec.storage",
            f"must be a Kubernetes quantity above zero, but got {reading.kind_of(raw)}.",
            QUANTITY_HINT,
        )
        return ""
    return str(raw)


def _aistore(notes: Notes, raw: Mapping[str, Any]) -> AIStoreSpec | None:
    found: AIStoreSpec | None = None
    for key in (*LEGACY_STORES, "aistore"):
        if raw.get(key) is None:
            continue
        path = at("spec", key)
        if key in LEGACY_STORES:
            notes.warn(path, f"'{key}' is an old spelling; it is read as 'aistore'.")
            if raw.get("aistore") is not None:
                continue
        section = reading.mapping(notes, raw[key], path, required=True)
        if not section:
            continue
        reading.check_keys(notes, section, path, AISTORE.keys)
        folder, secret = (
            reading.text(notes, section.get(name), at(path, name), **AISTORE.text(name).check)
            for name in ("folder", "secret")
        )
        if KEY.match(secret):  # it would be stored and shown with the manifest
            notes.error(
                at(path, "secret"),
                "must be the name of a Secret, but got what looks like the API key itself.",
                "Keep the key in a secret and write the secret's name here.",
            )
        found = AIStoreSpec(folder, secret)
    return found


def _alike(notes: Notes, raw: Any) -> int:
    path = "spec.breaker"
    section = reading.mapping(notes, raw, path, hint="E.g. breaker: {alike: 3}.")
    reading.check_keys(notes, section, path, BREAKER.keys)
    check = BREAKER.whole("alike").check
    given = reading.whole_number(notes, section.get("alike"), at(path, "alike"), **check)
    return ALIKE if given is None else given


def _algorithms(
    notes: Notes, raw: Mapping[str, Any], space: SearchSpace | None
) -> tuple[AlgorithmSpec | None, AlgorithmSpec | None, AlgorithmSpec | None]:
    has_tuner, has_advisor = raw.get("tuner") is not None, raw.get("advisor") is not None
    tuner = parse_algorithm(notes, raw.get("tuner"), "spec.tuner", "tuner", space)
    assessor = advisor = None
    if has_tuner or not has_advisor:
        assessor = parse_algorithm(notes, raw.get("assessor"), "spec.assessor", "assessor", None)
    elif raw.get("assessor") is not None:
        notes.warn("spec.assessor", "An assessor works beside a tuner only; it is ignored here.")
    if has_tuner and has_advisor:
        notes.warn("spec.advisor", "There is a tuner too: the tuner wins, the advisor is ignored.")
    elif has_advisor:
        advisor = parse_algorithm(notes, raw["advisor"], "spec.advisor", "advisor", space)
    else:
        if not has_tuner:
            hint = "E.g. tuner: {builtinTunerName: TPE}."
            notes.error("spec.tuner", NO_TUNER, hint)
    if tuner and assessor and tuner.optimize_mode != assessor.optimize_mode:
        notes.warn(
            "spec.assessor.classArgs.optimize_mode",
            f"The tuner {tuner.optimize_mode}s but the assessor {assessor.optimize_mode}s; "
            "each follows its own.",
            "Write the same optimize_mode in both.",
        )
    return tuner, assessor, advisor


def to_manifest(spec: ExperimentSpec) -> dict[str, Any]:
    """Write the spec as a manifest, in the specification's form and order of fields."""
    metadata: dict[str, Any] = {"name": spec.name}
    if spec.namespace:
        metadata["namespace"] = spec.namespace
    if spec.labels:
        metadata["labels"] = dict(spec.labels)
    if spec.annotations:
        metadata["annotations"] = dict(spec.annotations)
    body: dict[str, Any] = {
        **({"maxExecSeconds": spec.max_exec_seconds} if spec.max_exec_seconds else {}),
        **({"maxTrialNum": spec.max_trials} if spec.max_trials else {}),
        **({"maxTrialSeconds": spec.max_trial_seconds} if spec.max_trial_seconds else {}),
        "trialConcurrency": spec.concurrency,
        "searchSpace": pretty_json(spec.space.as_json()),
    }
    if spec.initial:
        body["initial"] = [dict(values) for values in spec.initial]
    if spec.storage:
        body["storage"] = spec.storage
    if spec.aistore:
        body["aistore"] = {"folder": spec.aistore.folder, "secret": spec.aistore.secret}
    if spec.alike != ALIKE:
        body["breaker"] = {"alike": spec.alike}
    if local := spec.local.as_manifest():
        body["local"] = local
    if spec.metrics:
        body["metrics"] = spec.metrics.as_manifest()
    if spec.warm_start:
        body["warmStart"] = spec.warm_start.as_manifest()
    if spec.elsewhere is not None:
        body["elsewhere"] = spec.elsewhere.as_manifest()
    else:
        body["trainingConfig"] = spec.training.as_manifest()
    for algorithm in (spec.tuner, spec.assessor, spec.advisor):
        if algorithm:
            body[algorithm.kind] = algorithm.as_manifest()
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": body}
