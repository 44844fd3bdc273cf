"""Optuna's storage in PostgreSQL, read in one read-only transaction.

Only for who may name any address: the command line, never a request to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from experiments.earlier.study import refused

SCHEMES = ("postgresql", "postgres")
CONNECT_S = 10
MOST_SECONDS = 300

Query = Callable[[str, tuple[Any, ...]], Iterable[tuple[Any, ...]]]


def is_url(text: str) -> bool:
    return "://" in text


def without_password(url: str) -> str:
    """An address as it may be shown."""
    parts = urlsplit(url)
    place = parts.hostname or ""
    if parts.port:
        place = f"{place}:{parts.port}"
    return f"{parts.scheme.partition('+')[0]}://{place}{parts.path}"


@contextmanager
def opened(url: str) -> Iterator[tuple[Query, frozenset[str]]]:
    """A function that asks, and the names of the tables. Raises ProblemsError."""
    scheme, _, rest = url.partition("://")
    dialect = scheme.partition("+")[0].lower()
    if dialect not in SCHEMES:
        raise refused(
            f"A storage at {dialect}:// is not read here: PostgreSQL, SQLite and journal files "
            "are.",
            "Copy the study: optuna.copy_study(…, to_storage='sqlite:///copy.db').",
        )
    try:
        import psycopg
    except ModuleNotFoundError:
        raise refused(
            "Reading PostgreSQL needs the package psycopg.", "pip install 'autotune-web[postgres]'"
        ) from None
    try:
        connection = psycopg.connect(
            f"postgresql://{rest}",
            connect_timeout=CONNECT_S,
            options=f"-c default_transaction_read_only=on -c statement_timeout={MOST_SECONDS}s",
        )
    except (psycopg.Error, ValueError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise refused(f"{without_password(url)} cannot be reached: {first}") from None
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def ask(sql: str, values: tuple[Any, ...]) -> Iterable[tuple[Any, ...]]:
            cursor = connection.cursor()
            cursor.execute(sql.replace("?", "%s").encode(), values)
            return cursor

        found = ask(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = ANY (current_schemas(false))", (),
        )  # fmt: skip
        yield ask, frozenset(str(name) for (name,) in found)
    except psycopg.Error as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise refused(f"{without_password(url)} cannot be read: {first}") from None
    finally:
        connection.close()
