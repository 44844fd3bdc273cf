"""The list of experiments."""
from django.contrib.auth.decorators import login_required
from django.shortcuts import render


@login_required
def experiment_list(request):
    return render(request, "base.html")
