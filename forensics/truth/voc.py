"""Pascal VOC XML: one file per picture, named in it by `filename`.

Corners are 1-based pixels, both inside the box: xmin 1, xmax 10 is the half-open 0 to 10. (CVAT,
Datumaro and others write corners from 0; their boxes are then a pixel too large above and at the
left. A corner at 0 gives such a file away, and is listed.) `difficult` makes an ignore region;
`truncated`, `occluded` and `pose` are not used. A picture that `ImageSets` names without a file of
its own is not in this truth: Datumaro writes none for a picture without objects. A file without
objects says that nothing is there. `filename` without folders is looked for beside the file, or in
JPEGImages beside Annotations. A frame of a video is named `clip.mp4#123`, 0-based. As additions of
our own, `<ignore>` on the annotation ignores the frame, and `<planted>` on an object says that a
computer put it there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element  # noqa: S405 - a type; parsing is guarded in values.py

from forensics.errors import TruthError
from forensics.truth.base import MediaBuilder, Problem, Truth
from forensics.truth.values import child_text, flag, frame_name, number, read_xml

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(slots=True)
class VocFolder:
    """Files of one set: frames of the same video come together, and none may come twice."""

    builders: dict[str, MediaBuilder] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    seen: dict[tuple[str, int], tuple[Path, str]] = field(default_factory=dict)

    def add(self, path: Path, shown: str, *, document: Element | None = None) -> None:
        """Read one file; `shown` is the path as messages name it."""
        root = read_xml(path, shown) if document is None else document
        if not looks_like_voc(root):
            raise TruthError(f"{shown}: no <annotation>; give a Pascal VOC file")
        name, index = frame_name(_picture(child_text(root, ["filename"]), path))
        frame = index or 0
        earlier, earlier_shown = self.seen.setdefault((name, frame), (path, shown))
        if earlier != path:
            raise TruthError(
                f"{shown}: {name} frame {frame} is in {earlier_shown} already; keep one"
            )
        known = bool(PurePosixPath(name).suffix)
        builder = self.builders.setdefault(name, MediaBuilder(name, shown, suffix_known=known))
        builder.add_frame(frame, ignore=flag(child_text(root, ["ignore"]), shown, "ignore"))
        size = _size(root, shown)
        for place, element in enumerate(root.findall("object")):
            self._add_object(builder, frame, element, size, f"{shown}: object {place}")

    def _add_object(
        self,
        builder: MediaBuilder,
        frame: int,
        element: Element,
        size: tuple[float, float] | None,
        where: str,
    ) -> None:
        label = child_text(element, ["name"])
        if not label:
            raise TruthError(f"{where}: has no name; fill it in")
        self.labels[label] = None
        said = [child_text(element, [f"bndbox/{corner}"]) for corner in _CORNERS]
        x_min, y_min, x_max, y_max = (
            number(value, where, corner) for corner, value in zip(_CORNERS, said, strict=True)
        )
        if 0 in {x_min, y_min}:
            what = "a corner is 0, so that this tool counts pixels from 0; VOC counts from 1"
            builder.problems.append(Problem(where, f"{what}: the box is taken a pixel too large"))
        builder.add_box(
            frame,
            (x_min - 1, y_min - 1, x_max, y_max),
            label,
            where,
            ignore=flag(child_text(element, ["difficult"]), where, "difficult"),
            planted=flag(child_text(element, ["planted"]), where, "planted"),
            size=size,
        )

    def truth(self) -> Truth:
        """Return what was read so far."""
        media = tuple(builder.build() for builder in self.builders.values())
        return Truth(
            media=media,
            classes=tuple(self.labels),
            sources=tuple(shown for _, shown in self.seen.values()),
            problems=tuple(p for builder in self.builders.values() for p in builder.problems),
        )


def read_voc(path: Path, shown: str) -> Truth:
    """Read one file by itself."""
    folder = VocFolder()
    folder.add(path, shown)
    return folder.truth()


def looks_like_voc(root: Element) -> bool:
    """Whether parsed XML has the shape of a VOC file."""
    return root.tag == "annotation"


def _picture(named: str, path: Path) -> str:
    """The picture's path: as written if that has folders, else beside the file of labels.

    `.../Annotations/a.xml` describes `.../JPEGImages/a.*`, so that pictures of the same name in
    several folders stay apart.
    """
    if "/" in named or "\\" in named:
        return named
    folder = path.absolute().parent
    if folder.name == "Annotations":
        folder = folder.with_name("JPEGImages")
    return (folder / (named or path.stem)).as_posix()


def _size(root: Element, shown: str) -> tuple[float, float] | None:
    """Width and height; a size of 0 is how tools write that they do not know it."""
    said = [child_text(root, [f"size/{name}"]) for name in ("width", "height")]
    if not all(said):
        return None
    width, height = (number(value, shown, "size") for value in said)
    return (width, height) if min(width, height) > 0 else None
