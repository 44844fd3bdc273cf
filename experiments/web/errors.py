"""What is answered where Django cannot: a database that is busy, a host name nobody allowed.

Named by autotune_web/urls.py as handlers of 400 and 500. They ask neither database nor session.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from experiments.access import busy
from experiments.problems import Problem
from experiments.said import problem_json

logger = logging.getLogger(__name__)

UNKNOWN_HOST = (
    "AutoTune Web is not known by the host name of this address. Whoever runs it can add the name "
    "to ALLOWED_HOSTS (docs/configuration.md).\n"
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        host = request.META.get("HTTP_HOST", "")[:100]
        logger.warning("Refused: host name %r is not in ALLOWED_HOSTS", host)
        return HttpResponse(UNKNOWN_HOST, status=400, content_type="text/plain; charset=utf-8")
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """503 where the same request may succeed in a moment, else 500."""
    is_busy = busy.is_busy(sys.exc_info()[1])
    if request.path.startswith("/api/"):
        words = busy.WORDS if is_busy else "Something broke on the server; its log says what."
        errors: dict[str, Any] = {"errors": [problem_json(Problem("", words))]}
        answer: HttpResponse = JsonResponse(errors, status=503 if is_busy else 500)
    else:
        answer = defaults.server_error(request, "503.html" if is_busy else "500.html")
        answer.status_code = 503 if is_busy else 500
    if is_busy:
        answer["Retry-After"] = str(busy.RETRY_AFTER)
    return answer
