"""Routes of the site: REST under /api/, pages at the root."""

from django.urls import include, path

urlpatterns = [
    path("api/", include("experiments.api_urls")),
    path("", include("experiments.urls")),
]
