"""What REST gives, described for the OpenAPI schema.

The ``…Shape`` classes only describe what ``present`` builds; a test keeps the two equal.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from experiments.models import Metric
from experiments.rest.inputs import PHASES, STATES, JSONObject
from experiments.selectors.blocked import WORDS
from experiments.states import EventKind


class ProblemShape(serializers.Serializer[Any]):
    path = serializers.CharField(help_text="Where in the request or manifest; empty: all of it.")
    message = serializers.CharField()
    hint = serializers.CharField()
    line = serializers.IntegerField(required=False, help_text="Of the manifest's text, from 1.")


class ErrorsShape(serializers.Serializer[Any]):
    errors = ProblemShape(many=True)  # type: ignore[assignment]  # a field, not its answer


class ManifestErrorsShape(ErrorsShape):
    warnings = ProblemShape(many=True)


class TrialShape(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    id = serializers.CharField()
    state = serializers.ChoiceField(STATES)
    stopping = serializers.BooleanField()
    origin = serializers.CharField()
    reason = serializers.CharField()
    parameters = JSONObject()
    value = serializers.FloatField(allow_null=True)
    metrics = JSONObject(help_text='Final metrics by name; "NaN", "Infinity", "-Infinity" as text.')
    latest_value = serializers.FloatField(allow_null=True)
    latest_sequence = serializers.IntegerField(allow_null=True)
    n_reports = serializers.IntegerField()
    has_final = serializers.BooleanField()
    progress = serializers.FloatField(
        allow_null=True, help_text="0 to 1, where its script tells: by transformers' callback, say."
    )
    expected_end = serializers.DateTimeField(allow_null=True, help_text="As its script tells.")
    excluded = serializers.BooleanField()
    notes = serializers.CharField(help_text="A person's, in Markdown.")
    retriable = serializers.BooleanField(help_text="It did not succeed and was not retried yet.")
    attempt = serializers.IntegerField()
    exit_code = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    seq = serializers.IntegerField()


class LoggedRunShape(serializers.Serializer[Any]):
    name = serializers.CharField()
    status = serializers.CharField()


class LoggedShape(serializers.Serializer[Any]):
    metrics = serializers.ListField(child=serializers.CharField(), help_text="Their names.")
    params = serializers.DictField(child=serializers.CharField())
    tags = serializers.DictField(child=serializers.CharField())
    runs = LoggedRunShape(many=True, help_text="Runs nested in the trial's own.")
    files = serializers.IntegerField(help_text="That were sent, and are not kept.")


class TrialPage(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = TrialShape(many=True)
    page = serializers.IntegerField(help_text="The page that this is, from 1.")


class AIStoreShape(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["off", "waiting", "retrying", "failed", "done"])
    folder = serializers.CharField(help_text="spec.aistore.folder")
    secret = serializers.CharField(help_text="Name of the secret; its value is never told.")
    runs = serializers.IntegerField(help_text="Trials that have ended.")
    uploaded = serializers.IntegerField(help_text="Of these, those that are in AIStore.")
    failed = serializers.IntegerField(help_text="Uploads that wait for somebody to try again.")
    error = serializers.CharField(help_text="What went wrong last; may be empty.")
    next_try_at = serializers.DateTimeField(allow_null=True)
    url = serializers.URLField(allow_null=True, help_text="The folder in the platform's console.")


class ClusterObjectShape(serializers.Serializer[Any]):
    namespace = serializers.CharField()
    name = serializers.CharField()
    trouble = serializers.CharField(help_text="What the cluster, or an edit there, met with.")


class BreakerShape(serializers.Serializer[Any]):
    """Why failures alike suspended the experiment. Setting suspended to false goes on anyway."""

    trials = serializers.ListField(child=serializers.IntegerField(), help_text="Their numbers.")
    reason = serializers.CharField()
    log = serializers.CharField(allow_blank=True, help_text="The end of the last one's log.")


class BlockedShape(serializers.Serializer[Any]):
    """What keeps every trial that was given to the cluster from running."""

    reason = serializers.ChoiceField(list(WORDS), help_text="As in the object's status.")
    why = serializers.CharField()
    advice = serializers.CharField(help_text="What to do.")
    words = serializers.CharField(help_text="The cluster's.")
    trial = serializers.IntegerField(
        allow_null=True, help_text="Whose words they are; null: no job could be made."
    )
    n_trials = serializers.IntegerField(help_text="How many wait.")
    since = serializers.DateTimeField(allow_null=True)


class ExperimentShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    project = serializers.CharField()
    notes = serializers.CharField(help_text="Markdown.")
    tags = serializers.ListField(child=serializers.CharField())
    origin = serializers.CharField()
    optimize_mode = serializers.CharField()
    phase = serializers.ChoiceField(PHASES)
    suspended = serializers.BooleanField()
    finishing = serializers.BooleanField()
    message = serializers.CharField()
    breaker = BreakerShape(
        allow_null=True, help_text="Why it suspended itself; null: it did not, or was resumed."
    )
    blocked = BlockedShape(
        allow_null=True, help_text="Why none of its trials can run now; null: they can."
    )
    max_exec_seconds = serializers.IntegerField(allow_null=True, help_text="null: no such limit.")
    max_trials = serializers.IntegerField(allow_null=True, help_text="null: no such limit.")
    concurrency = serializers.IntegerField()
    active_seconds = serializers.FloatField()
    clock_running = serializers.BooleanField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Trials by state.")
    n_trials = serializers.IntegerField()
    n_finished = serializers.IntegerField(
        help_text="Of max_trials: a trial and its retries count once."
    )
    n_to_retry = serializers.IntegerField(help_text="Failed or lost, and not retried yet.")
    best = TrialShape(allow_null=True)
    aistore = AIStoreShape(allow_null=True, help_text="null: the manifest names none.")
    cluster_object = ClusterObjectShape(
        allow_null=True, help_text="Its AutoTuneExperiment in the cluster; null: it has none."
    )
    seed = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    seq = serializers.IntegerField()


class SecretShape(serializers.Serializer[Any]):
    name = serializers.CharField()
    changed_at = serializers.DateTimeField()


class CreatedHeadShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    phase = serializers.ChoiceField(PHASES)
    url = serializers.URLField(help_text="The experiment's page.")
    api_url = serializers.URLField()


class ProgramShape(serializers.Serializer[Any]):
    """What a word of a command means on this machine."""

    path = serializers.CharField(help_text="Of the word, in the manifest.")
    word = serializers.CharField()
    executable = serializers.CharField(help_text="The file that it names.")
    version = serializers.CharField(allow_blank=True, help_text="Of a Python.")
    environment = serializers.CharField(allow_blank=True, help_text="sys.prefix of a Python.")
    missing = serializers.ListField(
        child=serializers.CharField(), help_text="Modules that the script imports and it lacks."
    )
    is_ours = serializers.BooleanField(help_text="AutoTune's own, for one of its examples.")
    sentence = serializers.CharField(help_text="The same, for people.")


class CreatedShape(CreatedHeadShape):
    warnings = ProblemShape(many=True)
    more = CreatedHeadShape(many=True, help_text="The others, where a file held several.")


class OutsideShape(serializers.Serializer[Any]):
    reason = serializers.CharField(help_text="As `lr > 0.1`.")
    trials = serializers.IntegerField()


class BorrowedFromShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField(help_text="As it was called then.")
    is_there = serializers.BooleanField(help_text="False: it was deleted since.")
    offered = serializers.IntegerField(help_text="Trials with a result.")
    borrowed = serializers.IntegerField(help_text="Of these, inside the search space.")
    outside = OutsideShape(many=True)
    led = serializers.IntegerField(help_text="Trials of this experiment proposed by its model.")


class BorrowedShape(serializers.Serializer[Any]):
    experiments = BorrowedFromShape(many=True)


class ImportedHeadShape(CreatedHeadShape):
    n_trials = serializers.IntegerField()
    left = ProblemShape(many=True, help_text="What is not as it was.")


class ImportedShape(serializers.Serializer[Any]):
    experiments = ImportedHeadShape(many=True)


class ForecastShape(serializers.Serializer[Any]):
    manifest = JSONObject(help_text="The manifest as it would be stored.")
    yaml = serializers.CharField()
    n_distinct = serializers.IntegerField(allow_null=True, help_text="Configurations; null: many.")
    peak = JSONObject(help_text="Resources wanted at once, at most.")
    samples = serializers.ListField(child=JSONObject())
    programs = ProgramShape(many=True, help_text="Local trials only.")


class ValidShape(ForecastShape):
    errors = ProblemShape(many=True)  # type: ignore[assignment]  # a field, not its answer
    warnings = ProblemShape(many=True)
    more = ForecastShape(many=True, help_text="The others, where a file held several.")


class RetriedShape(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    trials = TrialShape(many=True)


class SavedViewShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    query = serializers.CharField(help_text="Put it after the page's address and a question mark.")
    author = serializers.CharField(allow_null=True, help_text="Who saved it first.")
    changed_at = serializers.DateTimeField()


class DoneShape(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    trials = serializers.ListField(
        child=serializers.IntegerField(), help_text="Numbers of the trials that it was done to."
    )


class MetricShape(serializers.Serializer[Any]):
    trial = serializers.IntegerField()
    kind = serializers.ChoiceField([kind.value for kind in Metric.Kind])
    sequence = serializers.IntegerField()
    step = serializers.FloatField(allow_null=True)
    name = serializers.CharField()
    value = serializers.JSONField(help_text='A number, or "NaN", "Infinity", "-Infinity".')
    time = serializers.DateTimeField()
    seq = serializers.IntegerField()


class MetricsShape(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    results = MetricShape(many=True)


class LogFileShape(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")


class AlgorithmShape(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(["tuner", "assessor", "advisor"])
    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not a label
    summary = serializers.CharField()
    available = serializers.BooleanField()
    types = serializers.ListField(child=serializers.CharField())
    needs = serializers.CharField(help_text="What else it asks of the search space; may be empty.")
    numeric_choice_only = serializers.BooleanField()
    settings = serializers.ListField(child=JSONObject())


class AlgorithmsShape(serializers.Serializer[Any]):
    tuners = AlgorithmShape(many=True)
    assessors = AlgorithmShape(many=True)
    advisors = AlgorithmShape(many=True)


# A class body cannot hold a field named "from".
EventsShape = inline_serializer(
    "Event",
    {
        "seq": serializers.IntegerField(),
        "trial": serializers.IntegerField(allow_null=True),
        "what": serializers.ChoiceField([kind.value for kind in EventKind]),
        "from": serializers.CharField(),
        "to": serializers.CharField(),
        "reason": serializers.CharField(),
        "data": JSONObject(),
        "time": serializers.DateTimeField(),
    },
    many=True,
)


def page_shape(name: str, results: Any) -> Any:
    """Describe one page of a list; ``results`` is the rows' serializer, many=True."""
    return inline_serializer(
        f"{name}Page",
        {
            "count": serializers.IntegerField(),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": results,
        },
    )
