"""Rows of very many trials as charts want them, several times as fast as the ORM converts them.

Called by ``chart_data``. SQLite keeps times and JSON as text: all of a column are read at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db import connection, models
from django.db.models import QuerySet
from django.db.models.functions import Cast


def columns(rows: QuerySet[Any], names: Sequence[str]) -> list[Sequence[Any]]:
    """The named columns of these rows, each as values of its Python type."""
    fields = [rows.model._meta.get_field(name) for name in names]
    wanted: list[Any] = list(names)
    if connection.vendor == "sqlite":
        for place, field in enumerate(fields):
            if isinstance(field, models.DateTimeField):  # as text, lest each is converted alone
                rows = rows.annotate(**{f"text{place}": Cast(field.name, models.TextField())})
                wanted[place] = f"text{place}"
    sql, params = rows.values_list(*wanted).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found = cursor.fetchall()
    if not found:
        return [() for _ in names]
    return [_read(*pair) for pair in zip(fields, zip(*found, strict=True), strict=True)]


def _read(field: Any, values: Sequence[Any]) -> Sequence[Any]:
    if isinstance(field, models.JSONField):
        return [json.loads(value) if isinstance(value, str) else value for value in values]
    if isinstance(field, models.BooleanField):
        return [bool(value) for value in values]
    if isinstance(field, models.DateTimeField):
        return _times(values)
    return values


def _times(values: Sequence[Any]) -> Sequence[datetime | None]:
    if not any(isinstance(value, str) for value in values):
        return values
    read = np.array([value or "NaT" for value in values], dtype="M8[us]").tolist()
    return [value and value.replace(tzinfo=UTC) for value in read]
