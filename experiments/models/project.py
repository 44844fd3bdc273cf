"""Projects: who an experiment belongs to; on a cluster, where it runs."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class Project(models.Model):
    """A space that experiments belong to; on a cluster, a namespace."""

    DEFAULT: ClassVar[str] = "default"

    name = models.SlugField(max_length=63, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def namespace(self) -> str:
        """Where its trials run and its Secrets are, on a cluster."""
        return settings.NAMESPACE if self.name == self.DEFAULT else self.name

    @classmethod
    def default(cls) -> Project:
        return cls.objects.get_or_create(name=cls.DEFAULT)[0]

    @classmethod
    def of_namespace(cls, namespace: str) -> Project:
        """The project whose trials run there: ``namespace``, read backwards; made where new."""
        if namespace == settings.NAMESPACE:
            return cls.default()
        return cls.objects.get_or_create(name=namespace)[0]
