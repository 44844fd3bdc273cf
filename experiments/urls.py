"""Routes of the pages."""

from __future__ import annotations

from django.urls import path

from experiments import views_account, views_detail, views_list, views_new

urlpatterns = [
    path("", views_list.experiment_list, name="experiment-list"),
    path("experiments/new/", views_new.experiment_new, name="experiment-new"),
    path("experiments/new/sync/", views_new.sync, name="experiment-sync"),
    path("experiments/new/template/<str:name>/", views_new.template, name="experiment-template"),
    path(
        "experiments/<slug:experiment_id>/",
        views_detail.experiment_detail,
        name="experiment-detail",
    ),
    path(
        "experiments/<slug:experiment_id>/trials/<int:number>/",
        views_detail.trial_detail,
        name="trial-detail",
    ),
    path("sign-in/", views_account.sign_in, name="sign-in"),
    path("sign-in/<str:secret>/", views_account.sign_in_link, name="sign-in-link"),
    path("sign-out/", views_account.sign_out, name="sign-out"),
    path("tokens/", views_account.api_tokens, name="api-tokens"),
    path("tokens/<int:pk>/delete/", views_account.api_token_delete, name="api-token-delete"),
]
