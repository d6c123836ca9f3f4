"""Materials of the objects and hands: principled surfaces for Mitsuba 3."""

Rgb = tuple[float, float, float]

MATERIALS: dict[str, dict[str, object]] = {
    "steel": {
        "base_color": (0.050, 0.052, 0.056),
        "metallic": 0.75,
        "roughness": 0.34,
        "specular": 0.6,
    },
    "polymer": {
        "base_color": (0.020, 0.020, 0.021),
        "metallic": 0.0,
        "roughness": 0.52,
        "specular": 0.5,
    },
    "black": {
        "base_color": (0.010, 0.010, 0.010),
        "metallic": 0.0,
        "roughness": 0.60,
        "specular": 0.4,
    },
    "bright": {
        "base_color": (0.42, 0.42, 0.43),
        "metallic": 1.0,
        "roughness": 0.30,
        "specular": 0.5,
    },
    "wood": {
        "base_color": (0.135, 0.058, 0.026),
        "metallic": 0.0,
        "roughness": 0.40,
        "specular": 0.5,
    },
    "skin": {
        "base_color": (0.46, 0.275, 0.195),
        "metallic": 0.0,
        "roughness": 0.50,
        "specular": 0.4,
    },
    "glove": {
        "base_color": (0.022, 0.022, 0.024),
        "metallic": 0.0,
        "roughness": 0.62,
        "specular": 0.3,
    },
    "sleeve": {
        "base_color": (0.05, 0.06, 0.09),
        "metallic": 0.0,
        "roughness": 0.90,
        "specular": 0.1,
    },
    "case": {
        "base_color": (0.018, 0.018, 0.020),
        "metallic": 0.2,
        "roughness": 0.38,
        "specular": 0.5,
    },
    "glass": {
        "base_color": (0.006, 0.006, 0.007),
        "metallic": 0.0,
        "roughness": 0.09,
        "specular": 0.6,
    },
    "screen": {
        "base_color": (0.010, 0.011, 0.014),
        "metallic": 0.0,
        "roughness": 0.12,
        "specular": 0.6,
    },
    "leather": {
        "base_color": (0.070, 0.036, 0.020),
        "metallic": 0.0,
        "roughness": 0.55,
        "specular": 0.4,
    },
    "cloth": {
        "base_color": (0.020, 0.022, 0.040),
        "metallic": 0.0,
        "roughness": 0.75,
        "specular": 0.2,
    },
}
HOLDER = frozenset({"skin", "glove", "sleeve"})
"""Materials of the hand that holds the object: they hide it, they are no part of it."""


def surface(name: str, tints: dict[str, Rgb]) -> dict[str, object]:
    """The BSDF of a material, its colour replaced where the clip asks for it."""
    values = dict(MATERIALS[name])
    colour = tints.get(name, values.pop("base_color"))
    values.pop("base_color", None)
    return {
        "type": "twosided",
        "inner": {
            "type": "principled",
            "base_color": {"type": "rgb", "value": list(colour)},
            **values,
        },
    }
