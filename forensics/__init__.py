"""Offline video forensics: scan recorded footage with a two-network cascade and prove what it buys."""

__version__ = "0.1.0"
