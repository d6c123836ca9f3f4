"""The clips of the sample: what is cut from which source, and what is planted along which path."""

from dataclasses import dataclass, field

from planting.compose import Look
from planting.footage import Cut
from planting.materials import Rgb
from planting.render import Light

Key = tuple[float, float, float, float, float, float, float]
"""Second, u, v (pixels of the gun's or phone's origin), pixels a millimetre, yaw, lean, roll
(degrees)."""

OVERCAST = Light(
    (0.90, 0.96, 1.04), (0.10, 0.13, 0.06), (3.0, 3.0, 2.9), (-0.40, -0.85, -0.40), 0.50
)
ROOM = Light((0.42, 0.42, 0.43), (0.40, 0.38, 0.35), (2.6, 2.6, 2.65), (-0.55, -0.60, -0.65), 0.50)
DAY = Look(1.0, 1.25, 0.65, 2.0)
ZOOMED = Look(1.0, 1.25, 1.05, 2.0)
INDOOR = Look(0.95, 1.12, 0.85, 2.2, (-14, 46, 16, 0.35))
PALE: Rgb = (0.62, 0.44, 0.37)
"""Skin in the light of the room, as on the hand that holds the box."""

GATE, ZOOM, TABLE = (768, 576), (640, 480), (640, 480)


@dataclass(frozen=True)
class Plant:
    """An object, the hand that holds it, its path, and the light on it."""

    thing: str
    category: str
    hand: str
    keys: tuple[Key, ...]
    light: Light
    look: Look
    left: bool = False
    reach: float = 860.0
    tints: dict[str, Rgb] = field(default_factory=dict)
    focal: float = 1000.0
    tremor: float = 1.0


@dataclass(frozen=True)
class Clip:
    """One clip of the sample, its seed and its compression."""

    name: str
    cut: Cut
    seed: int
    crf: int = 25
    plant: Plant | None = None


CLIPS: tuple[Clip, ...] = (
    Clip("gate-plain", Cut("vtest.avi", 150, 220, GATE), 10),
    Clip("wall-cup", Cut("cup.mp4", 0, 217, TABLE), 11, 23),
    Clip("table-box", Cut("box.mp4", 0, 151, TABLE), 12, 22),
    Clip(
        "gate-pistol",
        Cut("vtest.avi", 0, 75, GATE),
        21,
        plant=Plant(
            "semi_automatic",
            "gun",
            "bare",
            (
                (0.9, -150, 520, 0.72, 6, 10, 24),
                (1.7, 190, 400, 0.72, 10, 8, -4),
                (2.8, 260, 360, 0.74, 4, 6, -12),
                (4.2, 380, 350, 0.70, 14, 8, -6),
                (5.4, 330, 372, 0.74, -6, 6, -14),
                (6.3, 200, 440, 0.76, 8, 8, 6),
                (7.0, -170, 540, 0.76, 6, 8, 22),
            ),
            OVERCAST,
            DAY,
            tints={"sleeve": (0.035, 0.045, 0.075)},
        ),
    ),
    Clip(
        "gate-revolver",
        Cut("vtest.avi", 235, 310, GATE),
        22,
        plant=Plant(
            "revolver",
            "gun",
            "bare",
            (
                (0.6, 930, 500, 0.70, 176, 8, -22),
                (1.5, 600, 400, 0.70, 172, 8, 4),
                (2.6, 540, 350, 0.68, 184, 6, 12),
                (3.8, 470, 380, 0.72, 168, 8, 6),
                (5.2, 560, 340, 0.70, 190, 6, 15),
                (6.2, 640, 420, 0.72, 176, 8, 2),
                (7.0, 950, 520, 0.72, 176, 8, -20),
            ),
            OVERCAST,
            DAY,
            tints={"sleeve": (0.11, 0.10, 0.085)},
        ),
    ),
    Clip(
        "table-pistol",
        Cut("box.mp4", 302, 455, TABLE),
        23,
        22,
        plant=Plant(
            "semi_automatic",
            "gun",
            "bare",
            (
                (0.5, 840, 440, 0.78, 178, 8, -18),
                (1.3, 470, 360, 0.78, 172, 14, 2),
                (2.3, 400, 340, 0.74, 186, 12, 10),
                (3.1, 440, 350, 0.80, 165, 16, 4),
                (3.9, 380, 345, 0.76, 190, 12, 12),
                (4.4, 480, 370, 0.80, 176, 12, 0),
                (4.9, 850, 450, 0.82, 176, 10, -16),
            ),
            ROOM,
            INDOOR,
            tints={"sleeve": (0.06, 0.06, 0.065), "skin": PALE},
        ),
    ),
    Clip(
        "road-pistol",
        Cut("vtest.avi", 395, 465, ZOOM, (400, 120, 320, 240)),
        24,
        plant=Plant(
            "semi_automatic",
            "gun",
            "glove",
            (
                (0.8, 800, 440, 0.43, 178, 10, -16),
                (1.8, 520, 360, 0.42, 174, 8, 4),
                (3.0, 450, 330, 0.41, 186, 6, 10),
                (4.2, 420, 345, 0.42, 168, 8, 2),
                (5.2, 480, 335, 0.43, 180, 8, 9),
                (6.4, 820, 450, 0.44, 176, 8, -12),
            ),
            OVERCAST,
            ZOOMED,
            reach=1100.0,
            tints={"sleeve": (0.10, 0.13, 0.19)},
            tremor=0.7,
        ),
    ),
    Clip(
        "lawn-pistol",
        Cut("vtest.avi", 570, 640, ZOOM, (130, 336, 320, 240)),
        25,
        plant=Plant(
            "semi_automatic",
            "gun",
            "bare",
            (
                (0.9, 184, 335, 0.176, 8, 8, 60),
                (1.3, 286, 292, 0.176, 8, 8, 4),
                (1.6, 343, 285, 0.176, 10, 8, 0),
                (2.1, 387, 296, 0.176, 6, 8, -2),
                (2.6, 394, 296, 0.176, 2, 8, 2),
                (3.1, 443, 296, 0.176, 6, 8, -4),
                (3.6, 507, 291, 0.176, 4, 8, 0),
                (4.1, 565, 291, 0.174, 10, 8, -2),
                (4.6, 572, 300, 0.172, 20, 8, 25),
                (4.9, 560, 330, 0.170, 30, 8, 65),
            ),
            OVERCAST,
            ZOOMED,
            reach=270.0,
            tints={"sleeve": (0.004, 0.004, 0.005)},
            tremor=0.4,
        ),
    ),
    Clip(
        "gate-phone",
        Cut("vtest.avi", 75, 150, GATE),
        31,
        plant=Plant(
            "phone",
            "cell_phone",
            "slab",
            (
                (0.7, 960, 470, 0.92, 20, 8, -70),
                (1.6, 560, 390, 0.92, 24, 10, -72),
                (2.9, 500, 350, 0.90, -4, 6, -84),
                (4.3, 470, 380, 0.95, 30, 8, -66),
                (5.0, 500, 370, 0.92, 8, 10, -78),
                (5.5, 520, 360, 0.92, -30, 10, -80),
                (6.4, 600, 420, 0.94, 10, 8, -60),
                (7.1, 990, 520, 0.94, 20, 8, -60),
            ),
            OVERCAST,
            DAY,
            tints={"sleeve": (0.05, 0.03, 0.03)},
        ),
    ),
    Clip(
        "table-phone",
        Cut("box.mp4", 151, 302, TABLE),
        33,
        22,
        plant=Plant(
            "phone",
            "cell_phone",
            "slab",
            (
                (0.4, 900, 440, 0.92, 20, 8, -70),
                (1.3, 470, 370, 0.92, 14, 10, -74),
                (2.3, 410, 360, 0.88, -14, 8, -84),
                (3.2, 440, 350, 0.90, -150, 8, -72),
                (4.1, 470, 370, 0.88, -176, 10, -78),
                (4.8, 900, 450, 0.90, -190, 8, -60),
            ),
            ROOM,
            INDOOR,
            tints={"sleeve": (0.06, 0.06, 0.065), "skin": PALE},
        ),
    ),
    Clip(
        "gate-umbrella",
        Cut("vtest.avi", 315, 390, GATE),
        32,
        plant=Plant(
            "umbrella",
            "umbrella",
            "bare",
            (
                (0.6, 930, 540, 0.60, 178, 8, -30),
                (1.6, 600, 420, 0.60, 184, 8, -56),
                (3.0, 560, 390, 0.58, 172, 6, -46),
                (4.4, 500, 400, 0.60, 188, 8, -66),
                (5.6, 570, 390, 0.60, 176, 6, -52),
                (6.4, 660, 450, 0.62, 182, 8, -40),
                (7.1, 960, 560, 0.62, 182, 8, -25),
            ),
            OVERCAST,
            DAY,
            tints={"sleeve": (0.09, 0.085, 0.08)},
        ),
    ),
)
