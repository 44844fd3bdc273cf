"""REST without a server: the shell's commands on a data directory that nobody serves.

Called by ``manage.py``. The same views answer as in a server, for the owner of the directory; what
they change is done when a server runs next.
"""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.template.response import SimpleTemplateResponse
from django.urls import resolve
from django.utils import translation

from experiments.access import accounts
from experiments.models import SignInLink, release
from experiments.rest.authentication import OwnRequest


class NotUsable(Exception):
    """The database of this data directory cannot be read; the message says what to do."""


def require_database() -> None:
    """Raise NotUsable where there is none, or one of another release's."""
    if words := release.too_new():
        raise NotUsable(words)
    with connection.cursor() as cursor:
        if SignInLink._meta.db_table not in connection.introspection.table_names(cursor):
            raise NotUsable(
                f"There is no database in {settings.DATA_DIR} yet: start {settings.COMMAND} up "
                "first, or name the directory that it serves with --data."
            )
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotUsable(
            f"The database in {settings.DATA_DIR} is of an earlier release: start "
            f"{settings.COMMAND} up once, which brings it up to date."
        )


class _Request(OwnRequest):
    def get_host(self) -> str:
        """Of the addresses in answers: where the server will be."""
        return urlsplit(settings.PUBLIC_URL).netloc


def ask(
    method: str, path: str, query: dict[str, Any], body: bytes | None, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of one request below ``/api/v1/``."""
    given = body or b""
    request = _Request(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": f"/api/v1/{path}",
            "QUERY_STRING": urlencode(query, doseq=True),
            "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(given)),
            "wsgi.input": io.BytesIO(given),
            "wsgi.url_scheme": urlsplit(settings.PUBLIC_URL).scheme,
        }
    )
    found = resolve(f"/v1/{path}", urlconf="experiments.rest.urls")
    with translation.override(headers.get("Accept-Language", "en")):
        answer = found.func(request, *found.args, **found.kwargs)
        if isinstance(answer, SimpleTemplateResponse):  # as REST framework's are
            answer.render()
        streamed = answer.streaming_content if answer.streaming else [answer.content]
        content = b"".join(streamed)
    names = {name.lower(): value for name, value in answer.headers.items()}
    return answer.status_code, names, content


def sign_in_link(base_url: str, path: str) -> str:
    """A link that signs the administrator in, once, and shows ``path``."""
    user = accounts.find(accounts.ADMINISTRATOR)
    return f"{accounts.sign_in_url(user, base_url)}?{urlencode({'next': path})}"
