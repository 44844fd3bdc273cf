"""Which experiments a list shows, and in which order: for the page, REST and whoever lists.

Callers have authorised and checked already: orders are names of columns, ``-`` before one that goes
down. Rows without a value come last either way, and equal ones keep an order of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.expressions import OrderBy
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Lower

from experiments.manifest.fields import NAME_FIELDS
from experiments.models import Experiment
from experiments.models.tags import joined, parted

_BY_LETTER = frozenset({"name"})  # sorted as people sort: Adam before berta before Caesar


def listed(
    experiments: QuerySet[Experiment],
    *,
    search: str = "",
    tags: Sequence[str] = (),
    shown: Q | None = None,
    orders: Sequence[str] = (),
) -> QuerySet[Experiment]:
    """Those that ``search`` finds and ``shown`` lets through, newest first unless said otherwise.

    Each word of ``search`` must stand in the name, the notes or the tags, or begin the id; of
    ``tags`` each must be one of the experiment's.
    """
    found = experiments
    for tag in tags:
        found = found.filter(tags__contains=joined([tag.lower()]))
    for word in search.replace("\x00", "").split():
        found = found.filter(
            Q(name__icontains=word)
            | Q(id__startswith=word.lower())
            | Q(notes__icontains=word)
            | Q(tags__contains=word.lower())
        )
    return found.filter(shown or Q()).order_by(*columns(orders or ["-created_at"]), "id")


def _best(*, is_reversed: bool) -> list[OrderBy]:
    """The best first, those without one last; what is maximised and what is minimised apart:

    a small loss says nothing beside a large accuracy.
    """
    value = F("best_trial__value")
    worse = Case(When(optimize_mode="minimize", then=value), default=-value)
    return [
        Case(When(best_trial=None, then=1), default=0).asc(),
        F("optimize_mode").asc(),
        worse.desc() if is_reversed else worse.asc(),
    ]


# Name of what chooses the parameters, by letter.
_TUNER = Lower(
    Coalesce(*(KT(f"manifest__spec__{kind}__{NAME_FIELDS[kind]}") for kind in ("tuner", "advisor")))
)


def columns(orders: Iterable[str]) -> list[OrderBy]:
    """What the database sorts by."""
    found: list[OrderBy] = []
    for order in orders:
        name = order.removeprefix("-")
        if name == "best":
            found += _best(is_reversed=order[0] == "-")
            continue
        column = _TUNER if name == "tuner" else Lower(name) if name in _BY_LETTER else F(name)
        found.append(
            column.desc(nulls_last=True) if order[0] == "-" else column.asc(nulls_last=True)
        )
    return found


def tags_in_use(experiments: QuerySet[Experiment]) -> list[tuple[str, int]]:
    """Every tag and how many experiments have it, by name."""
    texts = experiments.exclude(tags="").order_by().values_list("tags", flat=True)
    return sorted(Counter(tag for text in texts for tag in parted(text)).items())
