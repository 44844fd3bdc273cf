"""What REST takes, field by field: bodies and queries, checked.

A field nobody knows is an error that names the nearest one, never silently dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from experiments.models import Metric, tags
from experiments.problems import nearest
from experiments.selectors.trial_filter import split_names
from experiments.services.actions import LIMIT_HIGHEST, LIMITS, MAY_LACK
from experiments.services.repeats import MOST_TIMES
from experiments.states import Phase, TrialState

PHASES = [phase.value for phase in Phase]
STATES = [state.value for state in TrialState]
EXPORT_FORMATS = ("json", "csv", "yaml", "html")
EXPERIMENT_ORDERS = ("created_at", "name", "phase", "started_at", "finished_at", "best", "tuner")
MAX_PAGE_SIZE = 200
MAX_LOG_BYTES = 1024 * 1024  # of one answer
MAX_CSV = 1_000_000  # characters
DEFAULT_LOG_BYTES = 64 * 1024


def _with_hint(message: str, hint: str) -> ErrorDetail:
    """An error whose hint ``rest.errors`` will find."""
    return ErrorDetail(message, code=f"hint:{hint}")


def _did_you_mean(word: str, known: list[str]) -> str:
    close = nearest(word, known)
    return f"Did you mean {close!r}?" if close else f"Known: {', '.join(known)}."


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses unknown fields, together with whatever else is wrong."""

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            known = list(self.fields)
            for name in data:
                if name not in self.fields:
                    hint = _did_you_mean(str(name), known) if known else "It takes no fields."
                    errors[str(name)] = [_with_hint("There is no such field.", hint)]
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not errors:
                raise
            found = error.detail if isinstance(error.detail, dict) else {}
            raise serializers.ValidationError({**errors, **found}) from None
        if errors:
            raise serializers.ValidationError(errors)
        return value


class WholeNumber(serializers.IntegerField):
    """A JSON number without a fraction: not "50", not true, not 5.0."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError(f"Must be a whole number, but got {data!r:.60}.")
        low, high = self.min_value, self.max_value
        if low is not None and high is not None and not low <= data <= high:
            raise serializers.ValidationError(
                f"Must be a whole number from {low} to {high}, but got {str(data)[:40]}."
            )
        return data


class TrueOrFalse(serializers.BooleanField):
    """JSON's true or false: not "yes", not 1."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError(f"Must be true or false, but got {data!r:.60}.")
        return data


class Text(serializers.CharField):
    """JSON text: a number is not turned into one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError(f"Must be text, but got {data!r:.60}.")
        return super().to_internal_value(data)


class QueryNumber(serializers.IntegerField):
    """A whole number in a query; DRF's own field would also take "5.0"."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", str(data)):
            raise serializers.ValidationError(f"Must be a whole number, but got {data!r:.60}.")
        return int(data)


@extend_schema_field(OpenApiTypes.OBJECT)
class JSONObject(serializers.DictField):
    """A JSON object with free names."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError(f"Must be an object, but got {data!r:.60}.")
        return data


class Words(serializers.ListField):
    """Several of a few words in a query: ``state=A,B`` or ``state=A&state=B``."""

    def __init__(self, words: list[str], *, signed: bool = False, **kwargs: Any) -> None:
        self.words = words
        self.signed = signed  # may each carry a minus sign?
        kwargs.setdefault("child", serializers.CharField())
        super().__init__(required=False, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        given = [word.strip() for part in data for word in str(part).split(",")]
        wrong = [
            _with_hint(f"Is unknown: {word!r:.80}.", _did_you_mean(word, self.words))
            for word in given
            if word and (word.removeprefix("-") if self.signed else word) not in self.words
        ]
        if wrong:
            raise serializers.ValidationError(wrong)
        return [word for word in given if word]


class FreeWords(serializers.ListField):
    """Several names in a query; what they mean is checked where they are used."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("child", serializers.CharField())
        super().__init__(required=False, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        if any("\x00" in str(part) for part in data):
            raise serializers.ValidationError("Must not hold the character NUL.")
        given = [word.strip() for part in data for word in split_names(str(part))]
        return [word for word in given if word]


# ---- bodies


def _limit(column: str, **kwargs: Any) -> WholeNumber:
    if column in MAY_LACK:
        kwargs["allow_null"] = True  # no such limit
    return WholeNumber(required=False, min_value=1, max_value=LIMIT_HIGHEST[column], **kwargs)


class _Editable(StrictSerializer):
    """Limits in both spellings: the API's own and the manifest's."""

    maxExecSeconds = _limit(
        "max_exec_seconds", source="max_exec_seconds", help_text="Same as max_exec_seconds."
    )
    maxTrialNum = _limit("max_trials", source="max_trials", help_text="Same as max_trials.")
    trialConcurrency = _limit("concurrency", source="concurrency", help_text="Same as concurrency.")
    suspended = TrueOrFalse(required=False)
    name = Text(required=False, max_length=63)
    notes = Text(required=False, allow_blank=True, max_length=100_000, trim_whitespace=False)
    tags = serializers.ListField(
        child=Text(allow_blank=True), required=False, help_text=f"In small letters; {tags.RULE}."
    )

    def get_fields(self) -> dict[str, Any]:
        # DRF refuses source == name, so the plain spellings are made here.
        plain = {column: _limit(column) for column in LIMITS}
        return {**plain, **super().get_fields()}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            for column, path in LIMITS.items():
                spelled = path.rpartition(".")[2]
                if column in data and spelled in data:
                    message = f"Is the same as {column!r}; give one of them."
                    raise serializers.ValidationError({spelled: [message]})
        return super().to_internal_value(data)


class Expected(_Editable):
    """The values the client last saw; where one differs by now nothing is changed (409)."""


class ExperimentPatch(_Editable):
    expected = Expected(required=False)


class _TrialEditable(StrictSerializer):
    notes = Text(required=False, allow_blank=True, max_length=20_000, trim_whitespace=False)


class TrialExpected(_TrialEditable):
    """The values the client last saw; where one differs by now nothing is changed (409)."""


class TrialPatch(_TrialEditable):
    expected = TrialExpected(required=False)


class MarkdownBody(StrictSerializer):
    text = Text(allow_blank=True, max_length=100_000, trim_whitespace=False)


class CloneBody(StrictSerializer):
    name = Text(required=False, max_length=63, help_text="Name of the new experiment.")
    warm_start = Text(
        required=False,
        max_length=20,
        help_text="Let it learn from the trials of this one: `all`, or the best, as `top 20`.",
    )


class CustomTrialBody(StrictSerializer):
    parameters = JSONObject(help_text="A value for each parameter of the search space.")
    force = TrueOrFalse(
        required=False, default=False, help_text="Allow values outside the search space."
    )


class CustomTrialsBody(StrictSerializer):
    trials = serializers.ListField(
        child=JSONObject(),
        required=False,
        allow_empty=False,
        max_length=1000,
        help_text="Parameters of each; nested ones as objects, or by dotted names.",
    )
    csv = Text(
        required=False,
        max_length=MAX_CSV,
        help_text="The same as CSV, a column a parameter; an exported CSV does, too.",
    )
    force = TrueOrFalse(required=False, default=False)


class HiddenText(serializers.CharField):
    """Text that no error repeats."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be text.")
        return data


class SecretBody(StrictSerializer):
    value = HiddenText(max_length=1000, write_only=True, help_text="The API key.")


class RetryBody(StrictSerializer):
    trials = serializers.ListField(
        child=serializers.IntegerField(min_value=0),
        required=False,
        allow_empty=False,
        max_length=10_000,
        help_text="Numbers of failed or lost trials; by default all of them.",
    )


class SavedViewBody(StrictSerializer):
    name = Text(max_length=100)
    query = Text(
        allow_blank=True, max_length=8000, help_text="The page's address after its question mark."
    )


class SavedViewPatch(StrictSerializer):
    name = Text(required=False, max_length=100)
    query = Text(required=False, allow_blank=True, max_length=8000)


class SelectedBody(StrictSerializer):
    """Which trials something is done to; or the query of a selection says it."""

    trials = serializers.ListField(
        child=WholeNumber(min_value=0, max_value=10**9),
        required=False,
        allow_empty=False,
        max_length=100_000,
        help_text="Their numbers, instead of a selection in the query.",
    )


class ExcludeSelectedBody(SelectedBody):
    reason = Text(required=False, allow_blank=True, default="", max_length=2000)


class RepeatBody(SelectedBody):
    times = WholeNumber(
        required=False,
        default=3,
        min_value=1,
        max_value=MOST_TIMES,
        help_text="How often each; trials with the same parameters count as one.",
    )


class ExcludeBody(StrictSerializer):
    reason = Text(required=False, allow_blank=True, default="", max_length=2000)


# ---- queries


class PageQuery(StrictSerializer):
    page = QueryNumber(required=False, min_value=1)
    page_size = QueryNumber(required=False, min_value=1, max_value=MAX_PAGE_SIZE)


class ExperimentsQuery(PageQuery):
    phase = Words(PHASES, help_text="Only these phases, separated by commas.")
    search = serializers.CharField(
        required=False, allow_blank=True, max_length=200, help_text="Part of the name, or an id."
    )
    tag = FreeWords(help_text="Only experiments that have all of these tags.")
    order = Words(
        list(EXPERIMENT_ORDERS),
        signed=True,
        help_text=f"One or several of {', '.join(EXPERIMENT_ORDERS)}; '-' first for descending.",
    )


class ImportQuery(StrictSerializer):
    study = FreeWords(help_text="Of a file with several experiments: these, by name.")
    all = serializers.BooleanField(required=False, help_text="Of a file with several: all.")
    mode = serializers.ChoiceField(
        ["minimize", "maximize"],
        required=False,
        help_text="Which way is better, where the file does not say it.",
    )
    objective = serializers.CharField(
        required=False,
        max_length=200,
        help_text="The metric that decides; of several objectives one, by number from 0.",
    )
    parameters = FreeWords(help_text="Of a table without its configuration: these columns.")


class SelectionQuery(StrictSerializer):
    """Which trials are looked at, the same wherever they are: ``selectors.selection``."""

    state = Words(STATES, help_text="Only trials in these states, separated by commas.")
    where = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Only trials with this condition on fields, parameters and metrics, e.g. "
        "`lr<0.01 and value>=0.9 and optimizer=adam`; `param:NAME` and `metric:NAME` tell equal "
        "names apart; also `or`, `not`, `in (…)`, `~` (contains), parentheses, `= none`, and times "
        '(`started_at >= "2026-11-27 14:00"`).',
    )
    ticked = serializers.CharField(
        required=False, allow_blank=True, help_text="Only trials with these numbers, as 3-9,12."
    )


class TrialsQuery(PageQuery, SelectionQuery):
    order = FreeWords(
        help_text="One or several of number, value, duration, started_at, state, a parameter or "
        "metric (param:NAME, metric:NAME, names in double quotes where they hold a comma); '-' "
        "first for descending; missing values come last."
    )
    at = QueryNumber(
        required=False,
        min_value=0,
        max_value=10**9,
        help_text="Number of a trial: the page that it is on, in place of `page`.",
    )


class MetricsQuery(StrictSerializer):
    kind = Words([kind.value for kind in Metric.Kind], help_text="Only reports of this kind.")
    name = FreeWords(help_text="Only metrics of these names.")


class EventsQuery(PageQuery):
    after = QueryNumber(
        required=False, min_value=0, max_value=2**62, help_text="Only events after this seq."
    )
    trial = QueryNumber(
        required=False, min_value=0, max_value=10**9, help_text="Only events of this trial."
    )


class LogQuery(StrictSerializer):
    log = serializers.CharField(
        required=False, help_text="Name of the log; the deciding replica's first one if left out."
    )
    offset = QueryNumber(
        required=False,
        default=0,
        min_value=-(2**53),
        max_value=2**53,
        help_text="Byte to start at; negative: that many bytes before the end.",
    )
    limit = QueryNumber(
        required=False, default=DEFAULT_LOG_BYTES, min_value=1, max_value=MAX_LOG_BYTES
    )


class ExportQuery(SelectionQuery):
    format = serializers.ChoiceField(EXPORT_FORMATS, required=False, default="json")
    language = serializers.ChoiceField(
        [code for code, _ in settings.LANGUAGES],
        required=False,
        help_text="Of an HTML report; that of the request where it is left out.",
    )

    def validate(self, attrs: Any) -> Any:
        if "language" in attrs and attrs["format"] != "html":
            words = f"Is of HTML reports only, but the format is {attrs['format']!r}."
            raise serializers.ValidationError({"language": words})
        return attrs


# ---- answers, described
