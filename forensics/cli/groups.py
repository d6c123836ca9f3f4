"""A command group whose commands are imported when they are used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group over a table, name -> module:attribute, so that --help does not load a network."""

    def __init__(self, *values: Any, table: Mapping[str, str], **options: Any) -> None:
        super().__init__(*values, **options)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command
