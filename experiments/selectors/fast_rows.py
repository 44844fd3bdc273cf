"""Rows of very many trials as charts want them, several times as fast as the ORM converts them.

Called by ``chart_data``, ``trial_facts`` and ``export``. SQLite keeps times and JSON as
text: all of a column are read at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import QuerySet
from django.db.models.functions import Cast


def columns(
    rows: QuerySet[Any], names: Sequence[str], *, as_iso: bool = False
) -> list[Sequence[Any]]:
    """The named columns of these rows, each as values of its Python type.

    ``as_iso``: times as ``present.iso`` writes them.
    """
    fields = [rows.model._meta.get_field(name) for name in names]
    wanted: list[Any] = list(names)
    if connection.vendor == "sqlite":
        for place, field in enumerate(fields):
            if isinstance(field, models.DateTimeField):  # as text, lest each is converted alone
                rows = rows.annotate(**{f"text{place}": Cast(field.name, models.TextField())})
                wanted[place] = f"text{place}"
    try:
        sql, params = rows.values_list(*wanted).query.sql_with_params()
    except EmptyResultSet:  # Django sees that there are none, e.g. of no keys
        return [() for _ in names]
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found = cursor.fetchall()
    if not found:
        return [() for _ in names]
    pairs = zip(fields, zip(*found, strict=True), strict=True)
    return [_read(field, values, as_iso=as_iso) for field, values in pairs]


def _read(field: Any, values: Sequence[Any], *, as_iso: bool) -> Sequence[Any]:
    if isinstance(field, models.JSONField):
        if set(map(type, values)) == {str}:
            read: list[Any] = json.loads(f"[{','.join(values)}]")  # at once: half the time
            return read
        return [json.loads(value) if isinstance(value, str) else value for value in values]
    if isinstance(field, models.BooleanField):
        return [bool(value) for value in values]
    if isinstance(field, models.DateTimeField):
        return _iso(values) if as_iso else _times(values)
    return values


def _times(values: Sequence[Any]) -> Sequence[datetime | None]:
    if str not in set(map(type, values)):
        return values
    read = datetime.fromisoformat
    return [value and read(f"{value}+00:00") for value in values]


def _iso(values: Sequence[Any]) -> Sequence[str | None]:
    if not any(isinstance(value, str) for value in values):
        return [value and value.isoformat() for value in values]
    return [value and f"{value.replace(' ', 'T')}+00:00" for value in values]
