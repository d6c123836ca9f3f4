"""What the page is made of: frozen records that the templates print."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.report.wording import UNDEFINED

DEFAULT_SEED = 20240229
DEFAULT_PICTURES = 60


@dataclass(frozen=True, slots=True)
class Options:
    """How a report is made: at most `max_pictures` cards in a list, chosen with `seed`.

    `created_utc` is printed as the time of writing; empty leaves it out.
    """

    max_pictures: int = DEFAULT_PICTURES
    seed: int = DEFAULT_SEED
    created_utc: str = ""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure as printed: its limits, and a footnote on how it was made or why it is missing."""

    text: str
    limits: str = ""
    note: int | None = None
    why: str = ""

    @property
    def undefined(self) -> bool:
        return self.text == UNDEFINED


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the comparison: a figure of both arms. `planted` is the word, or empty."""

    label: str
    hint: str
    cells: tuple[Quantity, ...]
    planted: str = ""
    headline: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """The rows of one level: box, frame or event."""

    name: str
    explained: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture: JPEG as a data URI; sizes in its own pixels; `sha256` of the JPEG."""

    uri: str
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shot:
    """What could be fetched for one box. Boxes are (x, y, width, height) in picture pixels."""

    frame: Picture | None = None
    frame_box: tuple[float, float, float, float] = (0, 0, 0, 0)
    crop: Picture | None = None
    crop_box: tuple[float, float, float, float] = (0, 0, 0, 0)
    crop_scaled: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One detection with its pictures. `kind` is a style name: hit, false, lost, open.

    `look` is what a false alarm looks like, `sure` the score by which such cards are ordered.
    """

    path: str
    camera: str
    time: str
    frame_index: int
    kind: str
    outcome: str
    detector_score: str
    target_score: str
    classifier: str
    box: str
    suspect: bool
    shot: Shot
    span: str = ""
    look: str = ""
    sure: float = 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """Cards of a group that belong together, `total` of them in all; a remark on what they are."""

    title: str
    total: int
    remark: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class CardGroup:
    """Cards under one heading; `total` how many there are in all.

    Where the cards lie in `parts`, `looks` are other headings for the same cards, by `Card.look`.
    """

    title: str
    kind: str
    total: int
    cards: tuple[Card, ...] = ()
    parts: tuple[Part, ...] = ()
    looks: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class CardList:
    """A section of cards. `rule` says how these were chosen."""

    total: int
    shown: int
    rule: str
    groups: tuple[CardGroup, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot for light and dark pages, and the table of its points."""

    key: str
    title: str
    caption: str
    alt: str
    light: str
    dark: str
    width: int
    height: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A bar on a timeline, in parts of 1000 of the file's length."""

    left: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a timeline."""

    name: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert or incident in words."""

    start: str
    end: str
    source: str
    what: str
    kind: str
    frames: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """One file: lanes of bars, and the same as rows."""

    path: str
    camera: str
    start: str
    end: str
    lanes: tuple[Lane, ...]
    rows: tuple[AlertRow, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The headline, what supports it, and what cannot be said."""

    headline: str
    subline: str
    sentences: tuple[str, ...]
    scoreboard: tuple[Row, ...]
    caveats: tuple[str, ...]
    planted: str = ""
