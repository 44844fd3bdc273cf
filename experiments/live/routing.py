"""Websocket routes."""

from typing import Any

from django.urls import path

from experiments.live.consumers import ExperimentConsumer

consumer: Any = ExperimentConsumer.as_asgi()  # path() is typed for views
websocket_urlpatterns: list[Any] = [path("ws/experiments/<str:experiment_id>/", consumer)]
