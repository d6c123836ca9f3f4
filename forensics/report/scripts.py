"""The scripts of a page, written into it, and the policy that lets just these run."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from markupsafe import Markup

from forensics.errors import ForensicsError

_LIBRARY = ("bokeh.min.js", "bokeh-api.min.js")
_EXPLORER = ("figures", "wording", "tables", "charts", "map", "lines", "trade", "front", "paper",
             "start")  # fmt: skip
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Scripts:
    """Sources in the order in which they run, and the page's content security policy."""

    sources: tuple[Markup, ...] = ()

    @property
    def policy(self) -> str:
        if not self.sources:
            return _POLICY
        return f"{_POLICY}; script-src {' '.join(_hash(source) for source in self.sources)}"


def report_scripts() -> Scripts:
    """The charting library (BokehJS, from the package bokeh), the explorer that uses it, made of
    its parts, and the gallery's switch."""
    folder = files("forensics.report") / "templates"

    def own(name: str) -> str:
        return folder.joinpath(f"{name}.js").read_text(encoding="utf-8")

    library = "\n".join(path.read_text(encoding="utf-8") for path in _library())
    explorer = "\n".join(map(own, _EXPLORER))
    whole = f'"use strict";\n(() => {{\n{explorer}}})();\n'  # one scope for its parts alone
    return Scripts((_inline(library), _inline(whole), _inline(own("gallery"))))


def _library() -> list[Path]:
    found = find_spec("bokeh")  # the package itself is not run: only its script files are read
    folders = (found and found.submodule_search_locations) or []
    for folder in folders:
        paths = [Path(folder, "server", "static", "js", name) for name in _LIBRARY]
        if all(path.is_file() for path in paths):
            return paths
    raise ForensicsError("the package bokeh is not complete; install it again (pip install bokeh)")


def _inline(source: str) -> Markup:
    """A source that can stand in a script element, with the line ends that its hash is of."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in source.lower() or "<!--" in source:
        raise ForensicsError("a script of the report could end its element; install bokeh again")
    return Markup(source)  # noqa: S704 - our own and the library's, held to the check above


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
