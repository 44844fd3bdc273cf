"""Keeping views of an experiment's page by name: for REST.

Callers have authorised already. What makes no sense raises ProblemsError by field.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from experiments.models import Experiment, SavedView
from experiments.problems import Problem, ProblemsError

MOST_VIEWS = 100  # of one experiment
MOST_QUERY = 8000  # characters: more is no address that can be sent on


def save(experiment: Experiment, name: str, query: str, author: Any) -> SavedView:
    """Keep a view under a name that none has yet."""
    name, query = name.strip(), query.removeprefix("?")
    _check(name, query)
    if experiment.saved_views.count() >= MOST_VIEWS:
        message = _("An experiment keeps at most %(n)d views; delete one first.")
        raise ProblemsError([Problem("name", message % {"n": MOST_VIEWS})])
    view = SavedView(experiment=experiment, name=name, query=query, author=author)
    _store(view)
    return view


def change(view: SavedView, *, name: str | None = None, query: str | None = None) -> None:
    """Give it another name, or let the name stand for another view."""
    view.name = view.name if name is None else name.strip()
    view.query = view.query if query is None else query.removeprefix("?")
    _check(view.name, view.query)
    view.changed_at = timezone.now()
    _store(view)


def _check(name: str, query: str) -> None:
    problems = []
    if not 1 <= len(name) <= 100 or not name.isprintable():
        words = _("must have 1 to 100 characters, in one line, but got %(got)r.")
        problems.append(Problem("name", words % {"got": name[:120]}))
    if len(query) > MOST_QUERY or not query.isprintable():
        words = _("must be a page's address after its question mark, of at most %(n)d characters.")
        problems.append(Problem("query", words % {"n": MOST_QUERY}))
    elif query and not parse_qsl(query):
        words = _("must be a page's address after its question mark, but got %(got)r.")
        problems.append(Problem("query", words % {"got": query[:80]}, "state=FAILED&order=-value"))
    if problems:
        raise ProblemsError(problems)


def _store(view: SavedView) -> None:
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError:
        message = _("There is a view named %(name)r already.") % {"name": view.name}
        raise ProblemsError([Problem("name", message)]) from None
