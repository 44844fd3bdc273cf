"""The page of this server's own logs: the last lines of each role's, and the whole to take away.

Only where ``up`` runs the roles and keeps their logs (``embedded.role_logs``); elsewhere they go to
standard error, and the page says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from experiments.access import policy
from experiments.redaction import redact

SHOWN = 64 * 1024  # bytes of the end
LARGEST = 16 * 1024 * 1024  # of a download; role_logs keeps them smaller


@never_cache
@login_required
@require_safe
def server_logs(request: HttpRequest) -> HttpResponse:
    """``?name=worker`` shows a role's log, ``&download=1`` saves it."""
    user: Any = request.user
    if not policy.may_see_server_logs(user):
        raise Http404("There are no logs of the server for you here.")
    files = _files()
    name = request.GET.get("name") or next(iter(files), "")
    if name and name not in files:
        raise Http404(f"There is no log {name!r:.80}.")
    if name and request.GET.get("download"):
        answer = HttpResponse(_end(files[name], LARGEST), content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = content_disposition_header(True, f"autotune-{name}.log")
        return answer
    context = {
        "nav": "server-logs",
        "names": list(files),
        "name": name,
        "text": _end(files[name], SHOWN) if name else "",
        "is_cut": bool(name) and files[name].stat().st_size > SHOWN,
    }
    return render(request, "account/server_logs.html", context)


def _files() -> dict[str, Path]:
    """The logs by their roles; links are somebody else's."""
    folder: Path = settings.DATA_DIR / "logs"
    found = sorted(path for path in folder.glob("*.log") if not path.is_symlink())
    return {path.stem: path for path in found if path.is_file()}


def _end(path: Path, most: int) -> str:
    """The last bytes as text, from the beginning of a line, without secrets."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - most))
        raw = file.read(most)
    if size > most:
        raw = raw.partition(b"\n")[2]
    return redact(raw.decode("utf-8", "replace"))
