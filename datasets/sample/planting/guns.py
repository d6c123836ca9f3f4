"""Two handguns modelled in code: a semi-automatic pistol and a revolver. Millimetres; the muzzle is
at +x."""

import numpy as np
from shapely.geometry import Point
from trimesh import Trimesh

from planting.solids import bevelled, box, cut, outline, plate, rod, union

Part = tuple[str, Trimesh]


def _slide() -> Trimesh:
    """The slide: bevelled bar with serrations, ejection port, muzzle."""
    side = outline([(-97, 0), (88, 0), (90, 4), (90, 20), (84, 24), (-92, 24), (-97, 20)])
    body = bevelled(side, 25.5, 3.0)
    tools = [rod((70, 0, 12), (120, 0, 12), 5.6), rod((84, 0, 3), (120, 0, 3), 3.0)]
    tools.append(box((-30, -20, 10), (16, -4, 40)))
    for index in range(8):
        x = -90 + 5.0 * index
        tools += [box((x, -20, 2), (x + 2.2, -11.4, 20)), box((x, 11.4, 2), (x + 2.2, 20, 20))]
    return cut(body, tools)


def _frame() -> Trimesh:
    """Dust cover, trigger guard and beavertail in one outline; the opening of the guard is cut
    out."""
    side = outline(
        [
            (-104, -2),
            (-96, 0),
            (80, 0),
            (80, -13),
            (50, -14),
            (48, -24),
            (44, -42),
            (34, -46),
            (2, -46),
            (-16, -40),
            (-24, -28),
            (-84, -20),
            (-100, -8),
        ],
        2.0,
    )
    guard = outline([(-16, -14), (42, -14), (40, -38), (32, -41), (3, -41), (-12, -35)], 3.0)
    body = bevelled(side.difference(guard), 22.0, 2.5)
    rail = [box((52, -20, -8), (78, -9.4, -6)), box((52, 9.4, -8), (78, 20, -6))]
    return cut(body, rail)


def _grip() -> Trimesh:
    """The slanted grip with finger grooves, side panels and floor plate."""
    side = outline(
        [
            (-90, -6),
            (-20, -8),
            (-24, -30),
            (-30, -46),
            (-34, -66),
            (-40, -84),
            (-45, -108),
            (-103, -114),
            (-106, -96),
            (-97, -62),
            (-87, -36),
        ],
        3.0,
    )
    body = bevelled(side, 30.0, 6.0)
    tools = []
    for index in range(9):
        z = -44.0 - 6.5 * index
        x = -92 - 0.28 * (-z - 44)
        tools += [box((x, -30, z), (x + 46, -14.2, z + 2)), box((x, 14.2, z), (x + 46, 30, z + 2))]
    floor = bevelled(
        outline([(-107, -112), (-40, -105), (-39, -115), (-107, -121)], 1.5), 31.0, 3.0
    )
    return union([cut(body, tools), floor])


def semi_automatic() -> list[Part]:
    """A full-size service pistol: parts with the name of their material."""
    trigger = plate(
        outline([(2, -10), (13, -10), (12, -22), (16, -35), (11, -36), (4, -24)], 1.0), 6.5
    )
    rear = cut(box((-92, -9, 23), (-85, 9, 30)), [box((-99, -1.8, 26), (-80, 1.8, 40))])
    front = box((78, -1.9, 23), (84, 1.9, 30))
    barrel = union([rod((-28, 0, 12), (89, 0, 12), 7.4), box((-28, -9.5, 8), (15, 9, 22.5))])
    barrel = cut(barrel, [rod((40, 0, 12), (120, 0, 12), 4.6)])
    pins = [rod((-8, -11.6, -6), (-8, 11.6, -6), 2.0), rod((-70, -11.6, -7), (-70, 11.6, -7), 2.0)]
    lever = box((-26, 10.5, -5), (4, 13.2, -1))
    return [
        ("steel", _slide()),
        ("polymer", _frame()),
        ("polymer", _grip()),
        ("polymer", trigger),
        ("black", rear),
        ("black", front),
        ("bright", barrel),
        ("steel", union([*pins, lever])),
    ]


def _cylinder() -> Trimesh:
    """The revolver's cylinder with six flutes."""
    body = rod((-34, 0, 6), (8, 0, 6), 19.0, 48)
    tools = []
    for index in range(6):
        angle = np.pi / 3 * index + np.pi / 6
        y, z = 20.5 * np.cos(angle), 6 + 20.5 * np.sin(angle)
        tools.append(rod((-18, y, z), (30, y, z), 5.0))
    return cut(body, tools)


def _revolver_frame() -> Trimesh:
    """Top strap, recoil shield, trigger guard: one outline with two openings."""
    side = outline(
        [
            (-62, 10),
            (-48, 27),
            (16, 27),
            (18, 4),
            (16, -18),
            (10, -24),
            (6, -46),
            (-6, -52),
            (-30, -50),
            (-44, -40),
            (-52, -30),
            (-84, -22),
            (-72, -4),
        ],
        2.5,
    )
    window = outline([(-35, -14), (9, -14), (9, 23), (-35, 23)], 1.0)
    guard = outline([(-42, -24), (4, -24), (1, -43), (-8, -47), (-28, -45), (-38, -37)], 3.0)
    return bevelled(side.difference(window).difference(guard), 17.0, 2.5)


def _revolver_grip() -> Trimesh:
    """The curved wooden grip with its flare."""
    side = outline(
        [
            (-86, -14),
            (-50, -22),
            (-52, -42),
            (-66, -58),
            (-72, -78),
            (-72, -104),
            (-80, -112),
            (-118, -106),
            (-122, -96),
            (-112, -72),
            (-102, -46),
            (-98, -26),
        ],
        5.0,
    )
    return bevelled(side, 31.0, 9.0, 6)


def revolver() -> list[Part]:
    """A six-shot revolver with a four-inch barrel: parts with the name of their material."""
    barrel = cut(rod((8, 0, 18), (120, 0, 18), 8.4), [rod((60, 0, 18), (140, 0, 18), 4.6)])
    lug = bevelled(outline([(12, 4), (76, 2), (82, 6), (82, 14), (12, 14)], 1.5), 11.0, 2.0)
    rib = bevelled(outline([(10, 22), (118, 22), (118, 28), (10, 29)]), 7.0, 1.5)
    sight = plate(outline([(94, 27), (116, 27), (114, 34), (108, 35)]), 3.6)
    hammer = plate(
        outline([(-70, 4), (-56, 6), (-54, 26), (-66, 38), (-76, 40), (-72, 33), (-66, 26)], 1.5),
        8.0,
    )
    trigger = plate(
        outline([(-24, -18), (-12, -18), (-12, -30), (-8, -41), (-13, -42), (-20, -32)], 1.0), 7.0
    )
    medallion = plate(Point(-80, -52).buffer(5.0), 32.5)
    return [
        ("steel", _revolver_frame()),
        ("steel", union([barrel, lug, rib])),
        ("steel", _cylinder()),
        ("black", sight),
        ("steel", hammer),
        ("bright", trigger),
        ("wood", _revolver_grip()),
        ("bright", medallion),
    ]
