"""A manifest's way in: text or data to a parsed spec with its forecast, or every problem at once.

Called by REST, pages and commands before anything is stored, so that all of them accept and refuse
the same manifests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from experiments.aistore.vault import foresee
from experiments.manifest.json_text import duplicate_keys, key_lines
from experiments.manifest.preflight import LOCAL, Preflight, preflight
from experiments.manifest.spec import Parsed, parse_manifest, parse_text
from experiments.problems import Problem, ProblemsError
from experiments.trials.backends import backend
from experiments.trials.launching import rehearsal

_NO_TRIAL = "As things stand, no trial could start."
_OTHER_PYTHON = (
    "Start AutoTune where your environment is active, or name its interpreter: --python, or "
    "AUTOTUNE_TRIAL_PATH."
)
MAX_BYTES = 1024 * 1024  # of a manifest's text


@dataclass(frozen=True)
class Intake:
    """What came of a manifest. ``parsed`` and ``forecast`` are None where it could not be read."""

    parsed: Parsed | None
    forecast: Preflight | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def can_start(self) -> bool:
        """Whether, as the backend foresees it, a trial would start here and now."""
        return not any(warning.hint == _NO_TRIAL for warning in self.warnings)


def read_json(raw: bytes) -> Parsed:
    """Parse a manifest given as JSON text; problems carry the line of the text.

    JSON goes its own way, not through the YAML reader, which would break escaped surrogate pairs.

    Raises:
        ProblemsError: with every problem found.
    """
    if len(raw) > MAX_BYTES:
        message = f"The manifest must be at most 1 MiB, but it is {len(raw) / MAX_BYTES:.1f} MiB."
        raise ProblemsError([Problem("", message)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ProblemsError([Problem("", "The manifest must be UTF-8 text.", line=line)]) from None
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        message = f"Is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        hint = "Send YAML as Content-Type: application/yaml."
        raise ProblemsError([Problem("", message, hint, error.lineno)]) from None
    except RecursionError:
        raise ProblemsError([Problem("", "Is nested too deeply.")]) from None
    except ValueError as error:
        raise ProblemsError([Problem("", f"Is not valid JSON: {error}.")]) from None
    if repeated := duplicate_keys(text):
        raise ProblemsError(
            [
                Problem(path, "Stands twice in the same object.", "Keep one of them.", line)
                for path, line in repeated
            ]
        )
    if not isinstance(data, dict):
        raise ProblemsError([Problem("", "The manifest must be an object (a mapping).")])
    lines = key_lines(text)

    def line_of(path: str, within: int = 0) -> int | None:
        while path:
            if path in lines:
                return lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None

    return parse_manifest(data, line_of=line_of)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def take_in(source: bytes | dict[str, Any], *, is_json: bool = False) -> Intake:
    """Parse a manifest (its text or its data) and look ahead; never raises for bad input.

    What preflight finds impossible counts as a problem like any other.
    """
    try:
        if isinstance(source, dict):
            parsed = parse_manifest(source)
        else:
            parsed = read_json(source) if is_json else parse_text(source)
    except ProblemsError as error:
        return Intake(None, None, error.problems, ())
    forecast = look_ahead(parsed)
    warnings = (*parsed.warnings, *forecast.warnings)
    return Intake(parsed, forecast, tuple(forecast.problems), warnings)


def look_ahead(parsed: Parsed) -> Preflight:
    """What will become of a manifest here: ``manifest.preflight`` and what the backend foresees.

    The backend's are warnings, since the world may change before a trial starts (a directory may
    be made); what it foresees of a field that is a problem already is left out.
    """
    forecast = preflight(parsed.spec, engine=settings.TRAINING_ENGINE, line_of=parsed.line_of)
    if settings.TRAINING_ENGINE == LOCAL and not settings.LOCAL_TRIALS:
        message = "Trials may not run on this server's own host (AUTOTUNE_LOCAL_TRIALS is 0)."
        return replace(
            forecast, problems=(*forecast.problems, Problem("spec.trainingConfig", message))
        )
    unstored = tuple(
        replace(problem, line=parsed.line_of(problem.path) if parsed.line_of else None)
        for problem in foresee(parsed.spec.aistore)
    )
    known = {problem.path for problem in forecast.problems}
    launch = rehearsal(parsed.spec)
    foreseen = tuple(
        Problem(path, message, _NO_TRIAL, parsed.line_of(path) if parsed.line_of else None)
        for path, message in backend().foresee(launch)
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
        warnings=(*forecast.warnings, *foreseen, *lacking, *unstored),
        programs=tuple(program.as_dict() for program in programs),
    )
