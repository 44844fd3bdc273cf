"""Routes of the REST API, below /api/."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path, register_converter
from django.views.decorators.gzip import gzip_page

from experiments.rest import (
    artifacts,
    comparing,
    devices,
    elsewhere,
    experiments,
    failures,
    figures,
    imports,
    many,
    markdown,
    notifications,
    pace,
    saved_views,
    schema,
    secrets,
    tables,
    trials,
    winner,
)


class ExperimentId:
    regex = "[a-z0-9]{1,8}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class TrialNumber:
    regex = "[0-9]{1,9}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class RowId(TrialNumber):
    regex = "[0-9]{1,18}"


register_converter(ExperimentId, "experiment")
register_converter(TrialNumber, "number")
register_converter(RowId, "row")

# Compressed is what is large and holds nothing secret: a secret beside text that somebody else
# chose could be guessed from the length (BREACH). Pages have one, the token of their forms.
packed = gzip_page

trial_urlpatterns: list[URLPattern | URLResolver] = [
    path("", trials.OneTrial.as_view(), name="api-trial"),
    path("kill/", trials.KillTrial.as_view(), name="api-trial-kill"),
    path("retry/", trials.RetryTrial.as_view(), name="api-trial-retry"),
    path("exclude/", trials.ExcludeTrial.as_view(), name="api-trial-exclude"),
    path("restore/", trials.RestoreTrial.as_view(), name="api-trial-restore"),
    path("metrics/", packed(trials.Metrics.as_view()), name="api-trial-metrics"),
    path("logged/", trials.Logged.as_view(), name="api-trial-logged"),
    path("logs/", trials.Logs.as_view(), name="api-trial-logs"),
    path("log/", trials.Log.as_view(), name="api-trial-log"),
    path("command/", trials.Command.as_view(), name="api-trial-command"),
    path("job/", trials.Job.as_view(), name="api-trial-job"),
    path("heartbeat/", elsewhere.Heartbeat.as_view(), name="api-trial-heartbeat"),
    path("tell/", elsewhere.Tell.as_view(), name="api-trial-tell"),
    path("grow/", elsewhere.Grow.as_view(), name="api-trial-grow"),
    path("artifacts/", artifacts.Artifacts.as_view(), name="api-artifacts"),
    path("artifacts/<row:artifact_id>/", artifacts.OneArtifact.as_view(), name="api-artifact"),
]

experiment_urlpatterns: list[URLPattern | URLResolver] = [
    path("", experiments.OneExperiment.as_view(), name="api-experiment"),
    path("manifest/", experiments.Manifest.as_view(), name="api-manifest"),
    path("finish/", experiments.Finish.as_view(), name="api-finish"),
    path("ask/", elsewhere.Ask.as_view(), name="api-ask"),
    path("borrowed/", experiments.WarmStarts.as_view(), name="api-borrowed"),
    path("clone/", experiments.Clone.as_view(), name="api-clone"),
    path("retry-failed/", experiments.RetryFailed.as_view(), name="api-retry-failed"),
    path("charts/<slug:kind>/", packed(experiments.Chart.as_view()), name="api-chart"),
    path("charts/<slug:kind>/table/", packed(tables.ChartTable.as_view()), name="api-chart-table"),
    path("compare/", comparing.CompareTrials.as_view(), name="api-compare"),
    path("compare/curves/", comparing.CompareCurves.as_view(), name="api-compare-curves"),
    path(
        "compare/curves/table/",
        packed(tables.CompareCurvesTable.as_view()),
        name="api-compare-curves-table",
    ),
    path("failures/", failures.Failures.as_view(), name="api-failures"),
    path("figures/", figures.Figures.as_view(), name="api-figures"),
    path("figures/<str:name>/", packed(figures.OneFigure.as_view()), name="api-figure"),
    path(
        "figures/<str:name>/table/",
        packed(figures.FigureTable.as_view()),
        name="api-figure-table",
    ),
    path("pace/", pace.Pace.as_view(), name="api-pace"),
    path("winner/", winner.Winner.as_view(), name="api-winner"),
    path("export/", experiments.Export.as_view(), name="api-export"),
    path("views/", saved_views.SavedViews.as_view(), name="api-views"),
    path("views/<number:view>/", saved_views.OneSavedView.as_view(), name="api-view"),
    path("events/", packed(experiments.Events.as_view()), name="api-events"),
    path("aistore/retry/", secrets.RetryUploads.as_view(), name="api-aistore-retry"),
    path("trials/", packed(trials.Trials.as_view()), name="api-trials"),
    path("trials/many/", many.CustomTrials.as_view(), name="api-trials-many"),
    path("trials/kill/", many.KillTrials.as_view(), name="api-trials-kill"),
    path("trials/retry/", many.RetryTrials.as_view(), name="api-trials-retry"),
    path("trials/exclude/", many.ExcludeTrials.as_view(), name="api-trials-exclude"),
    path("trials/repeat/", winner.RepeatTrials.as_view(), name="api-trials-repeat"),
    path("trials/restore/", many.RestoreTrials.as_view(), name="api-trials-restore"),
    path("trials/<number:number>/", include(trial_urlpatterns)),
]

urlpatterns = [
    path("schema/", schema.Schema.as_view(), name="api-schema"),
    path("docs/", schema.Docs.as_view(), name="api-docs"),
    path("v1/algorithms/", experiments.Algorithms.as_view(), name="api-algorithms"),
    path("v1/markdown/", markdown.Markdown.as_view(), name="api-markdown"),
    path("v1/devices/", devices.Devices.as_view(), name="api-devices"),
    path("v1/secrets/", secrets.Secrets.as_view(), name="api-secrets"),
    path("v1/secrets/<str:name>/", secrets.OneSecret.as_view(), name="api-secret"),
    path("v1/notifications/", notifications.Notifications.as_view(), name="api-notifications"),
    path("v1/notifications/told/", notifications.Notices.as_view(), name="api-notices"),
    path(
        "v1/notifications/<row:channel>/",
        notifications.OneNotification.as_view(),
        name="api-notification",
    ),
    path(
        "v1/notifications/<row:channel>/test/",
        notifications.TestNotification.as_view(),
        name="api-notification-test",
    ),
    path("v1/experiments/", experiments.Experiments.as_view(), name="api-experiments"),
    # Before the ids: "import", "validate" and "compare" look like some.
    path("v1/experiments/import/", imports.ImportResults.as_view(), name="api-import"),
    path(
        "v1/experiments/validate/",
        experiments.ValidateManifest.as_view(),
        name="api-validate",
    ),
    path(
        "v1/experiments/compare/",
        comparing.CompareExperiments.as_view(),
        name="api-compare-experiments",
    ),
    path(
        "v1/experiments/compare/charts/<slug:kind>/",
        comparing.CompareExperimentsChart.as_view(),
        name="api-compare-experiments-chart",
    ),
    path(
        "v1/experiments/compare/charts/<slug:kind>/table/",
        packed(tables.AcrossTable.as_view()),
        name="api-compare-experiments-table",
    ),
    path("v1/experiments/<experiment:experiment_id>/", include(experiment_urlpatterns)),
    re_path(r"^v1/(?P<rest>.*)$", schema.NoSuchRoute.as_view()),
]
