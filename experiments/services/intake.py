"""A manifest's way in: text or data to a parsed spec with its forecast, or every problem at once.

Called by REST, pages and commands before anything is stored, so that all of them accept and refuse
the same manifests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from experiments.aistore.vault import foresee
from experiments.manifest.json_text import duplicate_keys, key_lines
from experiments.manifest.preflight import LOCAL, Preflight, preflight
from experiments.manifest.spec import Parsed, parse_manifest, parse_text
from experiments.problems import Problem, ProblemsError
from experiments.strict_json import JsonRefused, read_json
from experiments.trials.backends import backend
from experiments.trials.launching import rehearsal

_NO_TRIAL = "As things stand, no trial could start."
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


def parse_json(raw: bytes) -> Parsed:
    """Parse a manifest given as JSON text; problems carry the line of the text.

    JSON goes its own way, not through the YAML reader, which would break escaped surrogate pairs.

    Raises:
        ProblemsError: with every problem found.
    """
    if len(raw) > MAX_BYTES:
        message = f"The manifest must be at most 1 MiB, but it is {len(raw) / MAX_BYTES:.1f} MiB."
        raise ProblemsError([Problem("", message)])
    try:
        data = read_json(raw, huge=True)  # the field that holds one says so
    except JsonRefused as error:
        raise ProblemsError([_not_json(error)]) from None
    text = raw.decode("utf-8-sig")
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


def _not_json(error: JsonRefused) -> Problem:
    if error.syntax is None:
        return Problem("", f"Is not valid JSON: {error}.", line=error.line or None)
    found = error.syntax
    message = f"Is not valid JSON: {found.msg}, line {found.lineno}, column {found.colno}."
    return Problem("", message, "Send YAML as Content-Type: application/yaml.", found.lineno)


def take_in(source: bytes | dict[str, Any], *, is_json: bool = False) -> Intake:
    """Parse a manifest (its text or its data) and look ahead; never raises for bad input.

    What preflight finds impossible counts as a problem like any other.
    """
    try:
        if isinstance(source, dict):
            parsed = parse_manifest(source)
        else:
            parsed = parse_json(source) if is_json else parse_text(source)
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
    foreseen = tuple(
        Problem(path, message, _NO_TRIAL, parsed.line_of(path) if parsed.line_of else None)
        for path, message in backend().foresee(rehearsal(parsed.spec))
        if path not in known
    )
    return replace(forecast, warnings=(*forecast.warnings, *foreseen, *unstored))
