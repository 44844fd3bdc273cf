"""Websocket routes."""

from django.urls import path

from experiments.live.consumers import ExperimentConsumer

websocket_urlpatterns = [path("ws/experiments/<str:experiment_id>/", ExperimentConsumer.as_asgi())]
