"""Routes of the site: REST under /api/, pages at the root."""

from django.urls import include, path

handler400 = "experiments.web.errors.bad_request"
handler500 = "experiments.web.errors.server_error"

urlpatterns = [
    path("api/", include("experiments.rest.urls")),
    path("", include("experiments.web.urls")),
]
