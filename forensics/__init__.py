"""Offline video forensics: a two-network cascade over recorded footage, and what it buys."""

__version__ = "0.1.0"
