"""Template tags of the guide: where a page's chapter is, and links to one."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import RequestContext
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from experiments.templatetags.autotune import icon
from experiments.web import guide

register = template.Library()


@register.simple_tag(takes_context=True)
def help_url(context: RequestContext) -> str:
    """The chapter that explains this page; the first one of a page that none does."""
    match: Any = getattr(context.get("request"), "resolver_match", None)
    chapter = guide.PAGES.get(match.url_name) if match else None
    return reverse("help", args=[chapter]) if chapter else reverse("help")


@register.simple_tag
def help_link(chapter: str) -> SafeString:
    """A small link to a chapter, for who cannot see beside what it stands too."""
    title = guide.page(guide.file_of(chapter, get_language() or "en")).title
    return format_html(
        '<a class="help-link muted small" href="{}" title="{}">{} {}'
        '<span class="visually-hidden">{}{}</span></a>',
        reverse("help", args=[chapter]),
        title,
        icon("book"),
        _("Help"),
        _(": "),
        title,
    )
