"""Offline video forensics: a two-network cascade over recorded footage, and what it buys."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`open_run` is loaded when it is asked for, so that importing the package stays light."""
    if name == "open_run":
        return import_module("forensics.study").open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["__version__", "open_run"]
