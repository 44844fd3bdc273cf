"""Routes of the pages."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.urls import path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from experiments.web import (
    account_pages,
    compare_pages,
    detail_pages,
    guide,
    list_page,
    new_page,
    notification_pages,
    server_logs,
)

urlpatterns = [
    path("", list_page.experiment_list, name="experiment-list"),
    path(
        "experiments/",
        login_required(RedirectView.as_view(pattern_name="experiment-list", query_string=True)),
    ),
    path("experiments/new/", new_page.experiment_new, name="experiment-new"),
    path("experiments/compare/", compare_pages.compare_experiments, name="compare-experiments"),
    path("experiments/new/sync/", new_page.sync, name="experiment-sync"),
    path("experiments/new/import/", new_page.import_files, name="experiment-import"),
    path("experiments/new/template/<str:name>/", new_page.template, name="experiment-template"),
    path(
        "experiments/<slug:experiment_id>/",
        detail_pages.experiment_detail,
        name="experiment-detail",
    ),
    path(
        "experiments/<slug:experiment_id>/compare/",
        compare_pages.compare_trials,
        name="compare-trials",
    ),
    path(
        "experiments/<slug:experiment_id>/trials/<int:number>/",
        detail_pages.trial_detail,
        name="trial-detail",
    ),
    path("help/", guide.help_page, name="help"),
    path("help/<slug:chapter>/", guide.help_page, name="help"),
    path("help/reference/<slug:name>/", guide.reference_page, name="help-reference"),
    path("help/pictures/<slug:language>/<str:name>", guide.picture, name="help-picture"),
    path("sign-in/", account_pages.sign_in, name="sign-in"),
    path("sign-in/<str:secret>/", account_pages.sign_in_link, name="sign-in-link"),
    path("sign-out/", account_pages.sign_out, name="sign-out"),
    path("language/", set_language, name="set-language"),
    path("notifications/", notification_pages.notifications, name="notifications"),
    path(
        "notifications/<int:pk>/test/",
        notification_pages.notification_test,
        name="notification-test",
    ),
    path(
        "notifications/<int:pk>/delete/",
        notification_pages.notification_delete,
        name="notification-delete",
    ),
    path("server-logs/", server_logs.server_logs, name="server-logs"),
    path("tokens/", account_pages.api_tokens, name="api-tokens"),
    path("tokens/<int:pk>/delete/", account_pages.api_token_delete, name="api-token-delete"),
]
