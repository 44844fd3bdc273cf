"""Who a user is whom a proxy in front signs in: as it told them last."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class ProxyAccount(models.Model):
    """A person of the proxy's directory; users without one are this installation's own."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="proxy_account"
    )
    name = models.CharField(max_length=253, unique=True)  # as the proxy tells it
    groups = models.JSONField(default=list)  # likewise
    seen_at = models.DateTimeField()  # told so last, about

    def __str__(self) -> str:
        return self.name
