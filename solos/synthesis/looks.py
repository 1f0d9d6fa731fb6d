"""What differs from one recording's picture to the next: the person, the room, the light."""

from dataclasses import dataclass, replace

import numpy as np

from solos.synthesis.canvas import Colour, shade

_SKIN = ((255, 220, 190), (240, 194, 155), (214, 160, 118), (172, 118, 80), (120, 78, 52))
_HAIR = ((30, 24, 22), (74, 46, 28), (128, 82, 44), (200, 160, 90), (150, 150, 152), (140, 52, 30))
_TOPS = (
    (28, 28, 34),
    (52, 54, 62),
    (226, 226, 222),
    (84, 34, 44),
    (36, 50, 88),
    (40, 72, 64),
)
_TROUSERS = ((26, 26, 32), (44, 48, 62), (78, 66, 54), (52, 74, 110))
_WALLS = (
    (206, 200, 188),
    (170, 186, 196),
    (120, 138, 128),
    (186, 150, 128),
    (96, 84, 92),
    (70, 84, 108),
    (214, 206, 170),
    (150, 104, 92),
    (128, 118, 152),
    (58, 62, 66),
)
_FLOORS = ((128, 92, 60), (92, 64, 44), (150, 128, 104), (84, 84, 88), (110, 72, 66))
PATTERNS = ("plain", "panels", "curtain", "bricks", "shelves", "window")
HAIRCUTS = ("short", "long", "bun", "bald", "side")


@dataclass(frozen=True)
class Look:
    """One player in one place.

    Attributes:
        skin, hair, top, trousers, wall, floor: colours.
        haircut: one of HAIRCUTS; pattern: one of PATTERNS, on the wall.
        glasses, beard, jacket: whether worn.
        finish: factor on the instrument's colour.
        scale: factor on the figure's size; shift: its place, in hundredths of the height.
        tint: factors on red, green and blue; vignette: darkening towards the corners, 0 to 1.
        seed: of the wall's details.
    """

    skin: Colour
    hair: Colour
    top: Colour
    trousers: Colour
    wall: Colour
    floor: Colour
    haircut: str
    pattern: str
    glasses: bool
    beard: bool
    jacket: bool
    finish: float
    scale: float
    shift: tuple[float, float]
    tint: tuple[float, float, float]
    vignette: float
    seed: int


def random_look(rng: np.random.Generator) -> Look:
    """Draw a look."""
    brightness = rng.uniform(0.8, 1.0)
    haircut = _pick(HAIRCUTS, rng)
    warmth = rng.uniform(-0.12, 0.12)
    return Look(
        skin=_vary(_pick(_SKIN, rng), rng),
        hair=_vary(_pick(_HAIR, rng), rng),
        top=_vary(_pick(_TOPS, rng), rng),
        trousers=_vary(_pick(_TROUSERS, rng), rng),
        wall=_vary(_pick(_WALLS, rng), rng),
        floor=_vary(_pick(_FLOORS, rng), rng),
        haircut=haircut,
        pattern=_pick(PATTERNS, rng),
        glasses=bool(rng.random() < 0.3),
        beard=bool(rng.random() < 0.35) and haircut in ("short", "side", "bald"),
        jacket=bool(rng.random() < 0.4),
        finish=rng.uniform(0.85, 1.15),
        scale=rng.uniform(0.88, 1.1),
        shift=(rng.uniform(-9, 9), rng.uniform(-2, 3)),
        tint=(brightness * min(1, 1 + warmth), brightness, brightness * min(1, 1 - warmth)),
        vignette=rng.uniform(0, 0.35),
        seed=int(rng.integers(2**31)),
    )


def beside(look: Look, other: Look) -> Look:
    """The same person in the other's room and light, near the middle of the picture."""
    return replace(
        look,
        wall=other.wall,
        floor=other.floor,
        pattern=other.pattern,
        tint=other.tint,
        vignette=0.5 * other.vignette,
        shift=(0.4 * look.shift[0], look.shift[1]),
    )


def _pick(choices: tuple, rng: np.random.Generator):
    return choices[rng.integers(len(choices))]


def _vary(colour: Colour, rng: np.random.Generator) -> Colour:
    moved = np.clip(np.array(shade(colour, rng.uniform(0.88, 1.1))) + rng.normal(0, 6, 3), 0, 255)
    return tuple(int(value) for value in moved)
