"""Trials that somebody wrote as CSV: a column a parameter, a row a trial.

A cell is JSON where it is JSON, else text; an empty one says nothing of its parameter. Of a CSV
that this product exported the ``param:`` columns count.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from django.utils.translation import gettext as _

from experiments.problems import Problem, ProblemsError
from experiments.strict_json import read_json

MOST_ROWS = 1000
_PARAMETER = "param:"


def csv_rows(text: str) -> list[dict[str, Any]]:
    """The parameters of each row, by flat name. Raises ProblemsError for what is no table."""
    try:
        lines = [row for row in csv.reader(io.StringIO(text.lstrip("\ufeff"))) if any(row)]
    except csv.Error as error:
        raise _bad(_("Is no CSV: %(error)s.") % {"error": error}) from None
    if len(lines) < 2:
        raise _bad(_("Must have a line with the parameters' names, and a line for each trial."))
    header, *rows = lines
    if len(rows) > MOST_ROWS:
        values = {"most": MOST_ROWS, "n": len(rows)}
        raise _bad(_("Must have at most %(most)d trials, but got %(n)d.") % values)
    names = [name.strip() for name in header]
    if any(name.startswith(_PARAMETER) for name in names):
        columns = [(at, name) for at, name in enumerate(names) if name.startswith(_PARAMETER)]
    else:
        columns = list(enumerate(names))
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            values = {"row": number, "n": len(row), "names": len(names)}
            raise _bad(_("Row %(row)d has %(n)d cells, but there are %(names)d names.") % values)
    return [
        {name.removeprefix(_PARAMETER): _value(row[at]) for at, name in columns if row[at] != ""}
        for row in rows
    ]


def _value(cell: str) -> Any:
    try:
        return read_json(cell.encode())
    except ValueError:
        return cell.removeprefix("'") if cell[1:2] in ("=", "+", "-", "@") else cell


def _bad(message: str) -> ProblemsError:
    return ProblemsError([Problem("csv", message, "lr,opt\\n0.1,adam\\n0.01,sgd")])
