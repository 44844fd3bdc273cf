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
from experiments.manifest.fields import (
    AISTORE,
    ALIKE,
    API_VERSION,
    BREAKER,
    KIND,
    LEGACY_STORES,
    NAME_FIELDS,
    NO_TUNER,
    SPEC,
)
from experiments.manifest.json_text import pretty_json
from experiments.manifest.local_section import parse_local
from experiments.manifest.local_spec import LocalSpec
from experiments.manifest.metrics_spec import MetricsSpec, parse_metrics
from experiments.manifest.names import LABEL, LABEL_KEY, LABEL_VALUE, MAX_NAME, SUBDOMAIN, slug
from experiments.manifest.placeholders import check_placeholders, check_word
from experiments.manifest.quantity import HINT as QUANTITY_HINT
from experiments.manifest.quantity import parse_quantity
from experiments.manifest.reading import LineOf, Notes, at
from experiments.manifest.training_spec import TaskSpec, TrainingSpec, parse_training
from experiments.manifest.yaml_text import load_yaml
from experiments.problems import Problem, ProblemsError
from experiments.redaction import KEY

__all__ = [
    "AIStoreSpec",
    "AlgorithmSpec",
    "ExperimentSpec",
    "LocalSpec",
    "Parsed",
    "Problem",
    "ProblemsError",
    "TaskSpec",
    "TrainingSpec",
    "parse_manifest",
    "parse_text",
    "to_manifest",
    "without_status",
]

_METADATA_KEYS = ("name", "generateName", "namespace", "labels", "annotations")
# Set by a Kubernetes server; a manifest copied from `kubectl get -o yaml` carries them.
_SERVER_METADATA = frozenset(
    {
        "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink",
        "ownerReferences", "finalizers", "deletionTimestamp", "deletionGracePeriodSeconds",
    }
)  # fmt: skip


@dataclass(frozen=True)
class AIStoreSpec:
    """Where the experiment's data is uploaded."""

    folder: str  # a folder's ID
    secret: str  # name of the Secret that holds the API key


@dataclass(frozen=True)
class ExperimentSpec:
    """What the user asked for, checked."""

    name: str
    max_exec_seconds: int
    max_trials: int
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
    seed: int | None = None  # None: the server chooses one

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
    metadata = _metadata(notes, data.get("metadata"))
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


def _metadata(notes: Notes, raw: Any) -> dict[str, Any]:
    metadata = reading.mapping(notes, raw, "metadata")
    if raw is not None and not isinstance(raw, Mapping):
        return {}
    kept = {key: value for key, value in metadata.items() if key not in _SERVER_METADATA}
    reading.check_keys(notes, kept, "metadata", _METADATA_KEYS)
    return {
        "name": _name(notes, metadata),
        "namespace": _namespace(notes, metadata.get("namespace")),
        "labels": _labels(notes, metadata.get("labels")),
        "annotations": _text_pairs(notes, metadata.get("annotations"), "metadata.annotations"),
    }


def without_status(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without what a Kubernetes server adds to it."""
    kept = {key: value for key, value in manifest.items() if key != "status"}
    metadata = {k: v for k, v in kept["metadata"].items() if k not in _SERVER_METADATA}
    return {**kept, "metadata": metadata}


def _name(notes: Notes, metadata: Mapping[str, Any]) -> str:
    path = "metadata.name"
    if metadata.get("name") is None and metadata.get("generateName") is not None:
        prefix = reading.text(notes, metadata["generateName"], "metadata.generateName")
        name = prefix.rstrip("-.")
        path = "metadata.generateName"
        if prefix:
            notes.warn(path, f"The name becomes '{name}': no letters are added; ids differ anyway.")
    else:
        name = reading.text(
            notes, metadata.get("name"), path, required=True, hint="E.g. 'name: my-experiment'."
        )
    if name and (len(name) > MAX_NAME or not SUBDOMAIN.match(name)):
        close = slug(name)
        notes.error(
            path,
            f"must be at most {MAX_NAME} small letters, digits, '-' and '.', with a letter or "
            f"digit at both ends (it becomes a Kubernetes name and label), but got '{name[:80]}'.",
            f"Try '{close}'." if close else "E.g. 'my-experiment'.",
        )
    return name


def _namespace(notes: Notes, raw: Any) -> str:
    name = reading.text(notes, raw, "metadata.namespace")
    if name and not LABEL.match(name):
        notes.error(
            "metadata.namespace",
            f"must be at most {MAX_NAME} small letters, digits and '-', but got '{name[:80]}'.",
        )
    return name


def _text_pairs(notes: Notes, raw: Any, path: str) -> dict[str, str]:
    pairs = reading.mapping(notes, raw, path)
    for key, value in pairs.items():
        if not LABEL_KEY.match(key):
            notes.error(at(path, key), f"'{key[:80]}' is not a Kubernetes label or annotation key.")
        if value is None:
            notes.error(at(path, key), "must be text, but got nothing.", 'Write "".')
        reading.text(notes, value, at(path, key), max_length=262_144)
    return pairs


def _labels(notes: Notes, raw: Any) -> dict[str, str]:
    pairs = _text_pairs(notes, raw, "metadata.labels")
    for key, value in pairs.items():
        if isinstance(value, str) and not LABEL_VALUE.match(value):
            notes.error(
                at("metadata.labels", key),
                "must be at most 63 letters, digits, '-', '_' and '.', with a letter or digit at "
                f"both ends, but got '{value[:80]}'.",
            )
    return pairs


def _spec(
    notes: Notes, raw: Mapping[str, Any], metadata: Mapping[str, Any]
) -> ExperimentSpec | None:
    reading.check_keys(
        notes, raw, "spec", SPEC.keys,
        {name: f"It belongs into its section: spec.{kind}.{name}."
         for kind, name in NAME_FIELDS.items()}
        | {"maxTrialNumber": "Did you mean 'maxTrialNum'?"},
    )  # fmt: skip
    limits = {
        key: reading.whole_number(notes, raw.get(key), at("spec", key), **SPEC.whole(key).check)
        for key in ("maxExecSeconds", "maxTrialNum", "maxTrialSeconds", "trialConcurrency")
    }
    _compare_limits(notes, limits["maxTrialNum"], limits["trialConcurrency"])
    space = _space(notes, raw.get("searchSpace"), "spec.searchSpace")
    storage = _storage(notes, raw.get("storage"))
    aistore = _aistore(notes, raw)
    alike = _alike(notes, raw.get("breaker"))
    local = parse_local(notes, raw.get("local"))
    metrics = parse_metrics(notes, raw.get("metrics"), "spec.metrics")
    training = parse_training(notes, raw.get("trainingConfig"), "spec.trainingConfig")
    tuner, assessor, advisor = _algorithms(notes, raw, space)
    if notes.problems or space is None:
        return None
    if tuner and tuner.name == "Batch":
        space = BatchSpace(space)
    _check_placeholders(notes, training, metrics, space, tuner or advisor)
    return ExperimentSpec(
        **metadata,
        max_exec_seconds=limits["maxExecSeconds"] or 0,
        max_trials=limits["maxTrialNum"] or 0,
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
        seed=chooser.args.seed if (chooser := tuner or advisor) else None,
    )


def _compare_limits(notes: Notes, max_trials: int | None, concurrency: int | None) -> None:
    if max_trials is not None and concurrency is not None and concurrency > max_trials:
        notes.warn(
            "spec.trialConcurrency",
            f"At most maxTrialNum={max_trials} trials will ever run at once, not {concurrency}.",
        )


def _space(notes: Notes, raw: Any, path: str) -> SearchSpace | None:
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
        "maxExecSeconds": spec.max_exec_seconds,
        "maxTrialNum": spec.max_trials,
        **({"maxTrialSeconds": spec.max_trial_seconds} if spec.max_trial_seconds else {}),
        "trialConcurrency": spec.concurrency,
        "searchSpace": pretty_json(spec.space.as_json()),
    }
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
    body["trainingConfig"] = spec.training.as_manifest()
    for algorithm in (spec.tuner, spec.assessor, spec.advisor):
        if algorithm:
            body[algorithm.kind] = algorithm.as_manifest()
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": body}
