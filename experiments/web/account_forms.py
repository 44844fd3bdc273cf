"""Small Django forms of the pages. The manifest's own form is ``manifest_form``."""

from __future__ import annotations

from django import forms


class PasswordForm(forms.Form):
    username = forms.CharField(max_length=150)
    password = forms.CharField(max_length=4096, strip=False)


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100)
