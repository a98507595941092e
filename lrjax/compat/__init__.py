"""Adapters between lrjax and other libraries, each imported when it is used."""

from lrjax.compat._optuna import optuna_sweep

__all__ = ["optuna_sweep"]
