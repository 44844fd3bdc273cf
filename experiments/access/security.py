"""Headers of every answer that tell browsers what to trust, what to keep, and what to encrypt.

Content-Security-Policy: own scripts and styles only, nothing inline.
``style-src`` allows inline *attributes* (Plotly positions its hover boxes by them) and the style
elements that Plotly injects; scripts stay strict.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


# Of a file that a trial made: whatever it is, it does nothing.
NOTHING_RUNS = "default-src 'none'; sandbox"

HSTS = "max-age=31536000"  # a year


class SecurityHeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        if value := hsts():
            response.headers.setdefault("Strict-Transport-Security", value)
        return response


def hsts() -> str:
    """Django's own needs to be told that the proxy speaks TLS; we know it from the address."""
    return HSTS if settings.PUBLIC_URL.startswith("https://") else ""
