"""Routes of the REST API, below /api/."""

from __future__ import annotations

from django.urls import include, path, re_path, register_converter

from experiments import api, api_experiments, api_secrets, api_trials


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


register_converter(ExperimentId, "experiment")
register_converter(TrialNumber, "number")

trial_urlpatterns = [
    path("", api_trials.OneTrial.as_view(), name="api-trial"),
    path("kill/", api_trials.KillTrial.as_view(), name="api-trial-kill"),
    path("retry/", api_trials.RetryTrial.as_view(), name="api-trial-retry"),
    path("exclude/", api_trials.ExcludeTrial.as_view(), name="api-trial-exclude"),
    path("restore/", api_trials.RestoreTrial.as_view(), name="api-trial-restore"),
    path("metrics/", api_trials.Metrics.as_view(), name="api-trial-metrics"),
    path("logs/", api_trials.Logs.as_view(), name="api-trial-logs"),
    path("log/", api_trials.Log.as_view(), name="api-trial-log"),
]

experiment_urlpatterns = [
    path("", api_experiments.OneExperiment.as_view(), name="api-experiment"),
    path("manifest/", api_experiments.Manifest.as_view(), name="api-manifest"),
    path("finish/", api_experiments.Finish.as_view(), name="api-finish"),
    path("clone/", api_experiments.Clone.as_view(), name="api-clone"),
    path("retry-failed/", api_experiments.RetryFailed.as_view(), name="api-retry-failed"),
    path("charts/<slug:kind>/", api_experiments.Chart.as_view(), name="api-chart"),
    path("export/", api_experiments.Export.as_view(), name="api-export"),
    path("events/", api_experiments.Events.as_view(), name="api-events"),
    path("aistore/retry/", api_secrets.RetryUploads.as_view(), name="api-aistore-retry"),
    path("trials/", api_trials.Trials.as_view(), name="api-trials"),
    path("trials/<number:number>/", include(trial_urlpatterns)),
]

urlpatterns = [
    path("schema/", api.Schema.as_view(), name="api-schema"),
    path("docs/", api.Docs.as_view(), name="api-docs"),
    path("v1/algorithms/", api_experiments.Algorithms.as_view(), name="api-algorithms"),
    path("v1/secrets/", api_secrets.Secrets.as_view(), name="api-secrets"),
    path("v1/secrets/<str:name>/", api_secrets.OneSecret.as_view(), name="api-secret"),
    path("v1/experiments/", api_experiments.Experiments.as_view(), name="api-experiments"),
    # Before the ids: "validate" looks like one.
    path(
        "v1/experiments/validate/",
        api_experiments.ValidateManifest.as_view(),
        name="api-validate",
    ),
    path("v1/experiments/<experiment:experiment_id>/", include(experiment_urlpatterns)),
    re_path(r"^v1/(?P<rest>.*)$", api.NoSuchRoute.as_view()),
]
