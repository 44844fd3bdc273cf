"""A manifest's way in: text or data to a parsed spec with its forecast, or every problem at once.

Called by REST, pages and commands before anything is stored, so that all of them accept and refuse
the same manifests.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from experiments.aistore import outbox, vault
from experiments.manifest.files import GivenManifest, GivenSecret, read_contents
from experiments.manifest.forecast import Forecast, forecast_of
from experiments.manifest.reading import LineOf
from experiments.manifest.spec import (
    ExperimentSpec,
    Parsed,
    lacks_limits,
    parse_manifest,
    parse_text,
)
from experiments.manifest.working_dir import resolved
from experiments.problems import Problem, ProblemsError
from experiments.services import borrowing
from experiments.services.conversions import foreign
from experiments.training.base import Launch
from experiments.trials.backends import backend, namespace_of
from experiments.trials.launching import sample_launch

_NO_TRIAL = "As things stand, no trial could start."
_NOT_ALLOWED = (
    "What trials may ask of the cluster is set by its administrator (AUTOTUNE_POD_POLICY)."
)
_OTHER_PYTHON = (
    "Start AutoTune where your environment is active, or name its interpreter: --python, or "
    "AUTOTUNE_TRIAL_PATH."
)
MAX_BYTES = 1024 * 1024  # of a manifest's text


@dataclass(frozen=True)
class Intake:
    """What came of a manifest. ``parsed`` and ``forecast`` are None where it could not be read."""

    parsed: Parsed | None
    forecast: Forecast | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def namespace(self) -> str:
        """The one of the cluster that the manifest names; "" where it names none."""
        return "" if self.parsed is None else namespace_of(self.parsed.spec)

    @property
    def can_start(self) -> bool:
        """Whether, as the backend forecasts it, a trial would start here and now."""
        return not any(warning.hint == _NO_TRIAL for warning in self.warnings)


NOTHING = Intake(None, None, (), ())


@dataclass(frozen=True)
class FileIntake:
    """What came of a file: its experiments in order, and the API keys that stand beside them.

    ``problems`` are those of the file and of every experiment in it: with one, nothing is taken.
    """

    experiments: tuple[tuple[GivenManifest, Intake], ...] = ()
    secrets: tuple[GivenSecret, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def decoded(raw: bytes) -> str:
    """The text of a manifest's bytes. Raises ProblemsError."""
    if len(raw) > MAX_BYTES:
        message = f"The manifest must be at most 1 MiB, but it is {len(raw) / MAX_BYTES:.1f} MiB."
        hint = "Keep data and code in the trial's own files."
        raise ProblemsError([Problem("", message, hint)])
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ProblemsError([Problem("", "The manifest must be UTF-8 text.", line=line)]) from None


def take_in_file(
    raw: bytes, *, is_json: bool = False, directory: Path | None = None, viewer: Any = None
) -> FileIntake:
    """Parse a file as ``kubectl apply -f`` takes it and look ahead; never raises for bad input.

    Args:
        viewer: whose experiments it may borrow from; None: anybody's.
        directory: where the file is; a relative ``workingDir`` in it is relative to that.
    """
    try:
        contents = read_contents(decoded(raw), is_json=is_json)
    except ProblemsError as error:
        return FileIntake(problems=error.problems)
    for given in contents.manifests:
        if (other := foreign(given.data, given.line_of(""))) is not None:
            return FileIntake(problems=(other,))
    kept, warnings = keepable(contents.secrets)
    found = []
    for given in contents.manifests:
        if directory is not None:
            given = resolved(given, directory)
        found.append((given, _take_in_one(given, {secret.name for secret in kept}, viewer)))
    return FileIntake(
        tuple(found),
        kept,
        tuple(problem for _, intake in found for problem in intake.problems),
        (
            *contents.ignored,
            *warnings,
            *(warning for _, intake in found for warning in intake.warnings),
        ),
    )


def keepable(secrets: Sequence[GivenSecret]) -> tuple[tuple[GivenSecret, ...], list[Problem]]:
    """The secrets of a file that are kept here, and warnings for the others."""
    if not backend().has_cluster_secrets:
        return tuple(secrets), []
    message = (
        "Secret '{name}' is left out: on a cluster the API key is read from the cluster's own."
    )
    return (), [
        Problem("", message.format(name=s.name), "Apply it with kubectl.", s.line) for s in secrets
    ]


def _elsewhere(parsed: Parsed, namespace: str) -> Sequence[Problem]:
    """Where a manifest names another namespace than the one it comes into: never ignored.

    ``namespace``: what it comes into; "": any that is served.
    """
    wanted, served = namespace_of(parsed.spec), settings.NAMESPACES
    if wanted in ("", namespace) or (not namespace and _is_served(wanted)):
        return ()
    path = "metadata.namespace"
    line = parsed.line_of(path) if parsed.line_of else None
    if not namespace and len({*served, settings.NAMESPACE}) > 1:
        names = ", ".join(dict.fromkeys((settings.NAMESPACE, *served)))
        message = f"must be one of {names}, which are served, but got '{wanted}'."
        return (Problem(path, message, "Leave it out for the first one.", line),)
    here = namespace or settings.NAMESPACE
    message = f"must be '{here}', where what is created here runs, but got '{wanted}'."
    return (Problem(path, message, "Leave it out, or apply the manifest with kubectl.", line),)


def _is_served(namespace: str) -> bool:
    if namespace == settings.OWN_NAMESPACE:
        return False
    return namespace == settings.NAMESPACE or bool({namespace, "*"} & {*settings.NAMESPACES})


def _forbidden(parsed: Parsed, launch: Launch) -> Sequence[Problem]:
    return [
        Problem(path, message, _NOT_ALLOWED, parsed.line_of(path) if parsed.line_of else None)
        for path, message in backend().refusals(launch)
    ]


def keep_secrets(secrets: Sequence[GivenSecret], project: Any) -> None:
    """Store API keys that came beside an experiment; what failed for want of them is tried again.

    Raises ProblemsError, which never shows a key.
    """
    for secret in secrets:
        vault.put(project, secret.name, secret.value)
        outbox.secret_changed(project, secret.name)


def _take_in_one(given: GivenManifest, known_secrets: Collection[str], viewer: Any) -> Intake:
    try:
        parsed = parse_manifest(given.data, line_of=given.line_of)
    except ProblemsError as error:
        return Intake(None, None, error.problems, ())
    return _with_forecast(parsed, known_secrets, viewer)


def take_in(source: bytes | dict[str, Any], namespace: str = "", viewer: Any = None) -> Intake:
    """Parse a manifest (its text or its data) and look ahead; never raises for bad input.

    What the forecast finds impossible counts as a problem like any other. ``namespace`` is where
    its trials will run on a cluster; "" stands for the one that the manifest names, if any, else
    the default project's.
    """
    try:
        parsed = parse_manifest(source) if isinstance(source, dict) else parse_text(source)
    except ProblemsError as error:
        other = foreign(source, None) if isinstance(source, dict) else None
        return Intake(None, None, error.problems if other is None else (other,), ())
    return _with_forecast(parsed, namespace=namespace, viewer=viewer)


def _with_forecast(
    parsed: Parsed,
    known_secrets: Collection[str] = (),
    viewer: Any = None,
    namespace: str = "",
) -> Intake:
    forecast = forecast_here(parsed, known_secrets, namespace)
    problems, warned = _borrowing(parsed, viewer)
    warnings = (*parsed.warnings, *forecast.warnings, *_not_sent(parsed), *warned)
    return Intake(parsed, forecast, (*forecast.problems, *problems), warnings)


def _borrowing(parsed: Parsed, viewer: Any) -> tuple[list[Problem], list[Problem]]:
    """Problems and warnings of what it is to learn from."""
    if parsed.spec.warm_start is None:
        return [], []

    def placed(found: Sequence[Problem]) -> list[Problem]:
        line_of = parsed.line_of
        return [replace(p, line=line_of(p.path) if line_of else None) for p in found]

    try:
        return [], placed(borrowing.warnings(parsed.spec, borrowing.borrowed(parsed.spec, viewer)))
    except ProblemsError as error:
        return placed(error.problems), []


def _not_sent(parsed: Parsed) -> list[Problem]:
    """What keeps the experiment out of a cluster that would show it."""
    lacking = lacks_limits(parsed.spec) if settings.SEND_TO_CLUSTER else []
    message = "is missing: until it is set, the cluster shows no object for the experiment."
    line_of = parsed.line_of
    return [replace(p, message=message, line=line_of(p.path) if line_of else None) for p in lacking]


def obstacles(spec: ExperimentSpec) -> tuple[Problem, ...]:
    """What keeps a parsed manifest from ever running here; asks neither cluster nor database.

    More GPUs than this machine has are among it.
    """
    return _by_the_rules(spec, None).problems


def _no_trials_here() -> bool:
    return backend().runs_here and not settings.LOCAL_TRIALS


def _by_the_rules(spec: ExperimentSpec, line_of: LineOf | None) -> Forecast:
    forecast = forecast_of(spec, runs_here=backend().runs_here, line_of=line_of)
    if spec.elsewhere is not None or not _no_trials_here():
        return _within_capacity(forecast, spec, line_of)
    message = "Trials may not run on this server's own host (AUTOTUNE_LOCAL_TRIALS is 0)."
    return replace(forecast, problems=(*forecast.problems, Problem("spec.trainingConfig", message)))


def _within_capacity(forecast: Forecast, spec: ExperimentSpec, line_of: LineOf | None) -> Forecast:
    """With what a trial asks for and the backend will never have."""
    capacity = backend().capacity(sample_launch(spec))

    def told(pairs: Sequence[tuple[str, str]]) -> list[Problem]:
        return [
            Problem(path, message, "", line_of(path) if line_of else None)
            for path, message in pairs
        ]

    return replace(
        forecast,
        problems=(*forecast.problems, *told(capacity.problems)),
        warnings=(*forecast.warnings, *told(capacity.warnings)),
    )


def forecast_here(
    parsed: Parsed, known_secrets: Collection[str] = (), namespace: str = ""
) -> Forecast:
    """What will become of a manifest here: ``manifest.forecast`` and what the backend forecasts.

    The backend's are warnings, since the world may change before a trial starts (a directory may
    be made); what it forecasts of a field that is a problem already is left out. ``known_secrets``
    are those that come with the manifest. What an administrator forbids is a problem.
    """
    forecast = _by_the_rules(parsed.spec, parsed.line_of)
    elsewhere = _elsewhere(parsed, namespace)
    namespace = namespace or namespace_of(parsed.spec) or settings.NAMESPACE
    launch = sample_launch(parsed.spec, namespace=namespace)
    forbidden = (*elsewhere, *_forbidden(parsed, launch))
    forecast = replace(forecast, problems=(*forecast.problems, *forbidden))
    if _no_trials_here() and parsed.spec.elsewhere is None:
        return forecast
    unstored = tuple(
        replace(problem, line=parsed.line_of(problem.path) if parsed.line_of else None)
        for problem in vault.forecast(parsed.spec.aistore, known_secrets)
    )
    known = {problem.path for problem in forecast.problems}
    told = tuple(
        Problem(path, message, _NO_TRIAL, parsed.line_of(path) if parsed.line_of else None)
        for path, message in backend().forecast(launch)
        if path not in known
    )
    programs = backend().programs(launch)
    lacking = tuple(
        Problem(
            program.path,
            f"{program.sentence()}, which lacks what the script imports: "
            f"{', '.join(program.missing)}.",
            _OTHER_PYTHON,
            parsed.line_of(program.path) if parsed.line_of else None,
        )
        for program in programs
        if program.missing
    )
    return replace(
        forecast,
        warnings=(*forecast.warnings, *told, *lacking, *unstored),
        programs=tuple(program.as_dict() for program in programs),
    )
