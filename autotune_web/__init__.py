"""The Django project: settings, routes and entry points of AutoTune Web."""
