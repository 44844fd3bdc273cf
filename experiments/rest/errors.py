"""One shape for every refusal of the REST API: ``{"errors": [{"path", "message", "hint"}]}``.

Named by the settings as DRF's exception handler. Status says what kind of refusal it is, the list
says what is wrong, each entry with the place in the request ("" for the request as a whole).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from experiments.access import busy
from experiments.access.namespaces import Unsure
from experiments.problems import Problem, ProblemsError
from experiments.said import problem_json, problems_json
from experiments.services.actions import Refused
from experiments.training.base import BackendUnavailable

RETRY_AFTER = 5  # seconds, told to clients while the training backend is away


class InvalidManifest(Exception):
    """A manifest that cannot be run: its errors, and the warnings found on the way."""

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        super().__init__(f"{len(problems)} errors in the manifest")
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "too_large"


_HINTS = {
    status.HTTP_401_UNAUTHORIZED: "Send 'Authorization: Bearer TOKEN', or sign in.",
    status.HTTP_415_UNSUPPORTED_MEDIA_TYPE: "Name the body's format in Content-Type.",
}


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of a view into its answer; None for defects of ours, which become 500."""
    if isinstance(exc, InvalidManifest):
        return Response(
            {
                "errors": problems_json(exc.problems),
                "warnings": problems_json(exc.warnings),
            },
            status=status.HTTP_400_BAD_REQUEST,
        )
    if isinstance(exc, ProblemsError):
        errors = problems_json(exc.problems)
        return Response({"errors": errors, "warnings": []}, status=status.HTTP_400_BAD_REQUEST)
    if isinstance(exc, Refused):
        return Response(_one(str(exc)), status=status.HTTP_409_CONFLICT)
    if isinstance(exc, BackendUnavailable):
        return Response(
            _one(f"The training backend cannot be reached now: {exc}", "Try again later."),
            status=status.HTTP_503_SERVICE_UNAVAILABLE,
            headers={"Retry-After": str(RETRY_AFTER)},
        )
    if isinstance(exc, Unsure):
        return Response(
            _one(
                "The cluster does not say now whether you may do that, so nothing was done.",
                "Try again in a moment. The server's log says what is wrong.",
            ),
            status=status.HTTP_503_SERVICE_UNAVAILABLE,
            headers={"Retry-After": str(exc.retry_after)},
        )
    if busy.is_busy(exc):
        return Response(
            _one(busy.WORDS, "Try again in a moment."),
            status=status.HTTP_503_SERVICE_UNAVAILABLE,
            headers={"Retry-After": str(busy.RETRY_AFTER)},
        )
    if isinstance(exc, Http404):
        words = str(exc.args[0]) if exc.args and isinstance(exc.args[0], str) else "Not found."
        return Response(_one(words), status=status.HTTP_404_NOT_FOUND)
    response = exception_handler(exc, context)
    if response is None:
        return None
    if isinstance(exc, exceptions.ValidationError):
        response.data = {"errors": list(_flatten(response.data, ""))}
    else:
        detail = exc.detail if isinstance(exc, exceptions.APIException) else "Not allowed."
        response.data = _one(str(detail), _HINTS.get(response.status_code, ""))
    if response.status_code == status.HTTP_400_BAD_REQUEST:
        response.data["warnings"] = []
    return response


def _one(message: str, hint: str = "") -> dict[str, Any]:
    return {"errors": [problem_json(Problem("", message, hint))]}


def _flatten(detail: Any, path: str) -> list[dict[str, object]]:
    """Flatten DRF's nested messages into one list with dotted paths."""
    if isinstance(detail, dict):
        found = []
        for key, value in detail.items():
            if key == "non_field_errors":
                below = path
            elif isinstance(key, int):
                below = f"{path}[{key}]"
            else:
                below = f"{path}.{key}" if path else str(key)
            found += _flatten(value, below)
        return found
    if isinstance(detail, (list, tuple)):
        found = []
        for index, item in enumerate(detail):
            below = f"{path}[{index}]" if isinstance(item, (dict, list)) else path
            found += _flatten(item, below)
        return found
    return [problem_json(Problem(path, str(detail), _hint_of(detail)))]


def _hint_of(detail: Any) -> str:
    """A serializer puts its hint behind the error's code: ``hint:Did you mean …?``."""
    code = getattr(detail, "code", "")
    return code.removeprefix("hint:") if isinstance(code, str) and code.startswith("hint:") else ""
