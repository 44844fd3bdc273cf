"""Callbacks that report a framework's metrics to AutoTune, and end training when they are told to.

Each is a module of its own, which imports its framework: ``lightning``, ``keras``, ``xgboost``,
``lightgbm``, ``transformers``.
"""
