"""Routes of the site: REST under /api/, pages at the root."""

from django.urls import include, path

urlpatterns = [
    path("api/", include("experiments.rest.urls")),
    path("", include("experiments.web.urls")),
]
