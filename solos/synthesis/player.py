"""A drawn person: the parts of the body that every instrument shares.

Coordinates: the base of the neck is (0, 0), the head above it, the hips near y = 46. The player's
right hand is at negative x, as seen from the front.
"""

import numpy as np

from solos.synthesis.canvas import Canvas, Colour, Point, along, bezier, shade
from solos.synthesis.looks import Look

MOUTH = (0.0, -7.5)
HEAD = (0.0, -14.0)
RIGHT_SHOULDER, LEFT_SHOULDER = (-14.5, 6.0), (14.5, 6.0)
HIPS = 46.0
_UPPER_ARM, _FOREARM = 20.0, 19.0


def body(canvas: Canvas, look: Look, *, seated: bool) -> None:
    """Legs (and chair), torso, neck."""
    (_sit if seated else _stand)(canvas, look)
    _torso(canvas, look)


def _sit(canvas: Canvas, look: Look) -> None:
    chair = shade(look.floor, 0.45)
    canvas.line([(-17, 50), (-18, 96)], 2, chair)
    canvas.line([(17, 50), (18, 96)], 2, chair)
    for side in (-1, 1):
        hip, knee, foot = (side * 8, HIPS), (side * 17, 58), (side * 15, 94)
        canvas.line([hip, knee], 12, look.trousers)
        canvas.line([knee, foot], 9.5, shade(look.trousers, 0.85))
        _shoe(canvas, foot, side)


def _stand(canvas: Canvas, look: Look) -> None:
    for side in (-1, 1):
        hip, foot = (side * 5.5, HIPS), (side * 7.5, 118)
        canvas.line([hip, foot], 10.5, shade(look.trousers, 1.0 if side < 0 else 0.88))
        _shoe(canvas, foot, side)


def _shoe(canvas: Canvas, foot: Point, side: int) -> None:
    canvas.oval((foot[0] + side * 2, foot[1] + 3), (6.5, 3), (24, 20, 20))


def _torso(canvas: Canvas, look: Look) -> None:
    left = bezier((4, -1), (9, 1), (19, 1), (18.5, 10), (14, 28), (13, HIPS + 2), n=12)
    right = left * (-1, 1)
    canvas.shape(np.concatenate([left, right[::-1]]), look.top)
    canvas.shape([(5, 12), (18, 12), (13, 48), (7, 48)], shade(look.top, 0.9))
    canvas.line([(0, -6), (0, 1)], 7.5, shade(look.skin, 0.85))
    if look.jacket:
        canvas.shape([(-5, 0), (5, 0), (0, 20)], (236, 236, 232))
        canvas.shape([(-1.6, 3), (1.6, 3), (2.2, 14), (0, 18), (-2.2, 14)], shade(look.hair, 0.6))
    else:
        canvas.shape(bezier((-5, 0), (-2, 5), (2, 5), (5, 0)), look.skin)


def head(canvas: Canvas, look: Look, *, turned: float = 0.0) -> None:
    """The head; ``turned`` moves the face to the player's left (positive) or right."""
    x, y = HEAD
    if look.haircut == "long":
        canvas.oval((x, y + 3), (10, 13), look.hair)
    if look.haircut == "bun":
        canvas.oval((x - 2 * turned, y - 11), (4.5, 4.2), look.hair)
    canvas.oval((x, y), (7.8, 9.8), look.skin)
    canvas.oval((x - 7.6 + turned, y + 1), (1.4, 2.2), shade(look.skin, 0.85))
    canvas.oval((x + 7.6 + turned, y + 1), (1.4, 2.2), shade(look.skin, 0.85))
    _hair(canvas, look)
    _face(canvas, look, turned)


def _hair(canvas: Canvas, look: Look) -> None:
    x, y = HEAD
    if look.haircut == "bald":
        return
    low = {"short": -3.0, "side": -1.5, "long": 0.0, "bun": -2.0}[look.haircut]
    crown = bezier((x - 8.2, y + low), (x - 9, y - 13), (x + 9, y - 13), (x + 8.2, y + low))
    part = 3.5 if look.haircut == "side" else 0
    fringe = [(x + 6.2, y - 3), (x + 3 + part, y - 6), (x - 4 + part, y - 6.5), (x - 6.4, y - 3)]
    canvas.shape(np.concatenate([crown, fringe]), look.hair)


def _face(canvas: Canvas, look: Look, turned: float) -> None:
    x, y = HEAD[0] + 1.6 * turned, HEAD[1]
    dark = (40, 30, 28)
    if look.beard:
        jaw = bezier((x - 6.6, y + 2), (x - 6, y + 12), (x + 6, y + 12), (x + 6.6, y + 2))
        canvas.shape(np.concatenate([jaw, [(x + 3, y + 4.4), (x - 3, y + 4.4)]]), look.hair)
    for side in (-1, 1):
        canvas.oval((x + 3 * side, y - 0.5), (1.0, 0.8), dark)
        canvas.line([(x + side * 1.8, y - 2.8), (x + side * 4.4, y - 2.9)], 0.7, look.hair)
        if look.glasses:
            canvas.ring((x + 3 * side, y - 0.4), (2.4, 2.0), 0.5, dark)
    canvas.line([(x, y), (x + 0.8 * (1 if turned >= 0 else -1), y + 3)], 0.8, shade(look.skin, 0.8))
    canvas.line([(x - 2, y + 6), (x + 2, y + 6)], 0.9, (160, 70, 70))


def arm(canvas: Canvas, look: Look, shoulder: Point, hand: Point, *, out: float = 1.0) -> None:
    """Shoulder to hand; the elbow falls away from the body (``out`` > 0) or towards it."""
    elbow = _elbow(shoulder, hand, out * np.sign(shoulder[0]))
    sleeve = shade(look.top, 1.18 if sum(look.top) < 330 else 0.82)
    wrist = along(elbow, hand, 0.9)
    canvas.line([shoulder, elbow], 7.6, sleeve)
    canvas.line([elbow, wrist], 6.4, sleeve)
    if look.jacket:
        canvas.line([along(elbow, hand, 0.82), wrist], 6.0, (236, 236, 232))
    fist(canvas, look, hand)


def fist(canvas: Canvas, look: Look, place: Point) -> None:
    """A hand."""
    canvas.oval(place, (3.3, 3.0), look.skin)
    canvas.line(
        [(place[0] - 1.6, place[1] + 0.7), (place[0] + 1.6, place[1] + 0.7)],
        0.6,
        shade(look.skin, 0.75),
    )


def fingers(canvas: Canvas, colour: Colour, places: list[Point], pattern: float) -> None:
    """Finger tips on keys; which of them are lifted follows the fingering, 0 to 1."""
    bits = int(pattern * 7.99)
    for number, (x, y) in enumerate(places):
        lift = 1.3 if bits >> (number % 3) & 1 else 0.0
        canvas.oval((x, y - lift), (1.2, 1.2), colour)


def _elbow(shoulder: Point, hand: Point, side: float) -> Point:
    start, end = np.array(shoulder), np.array(hand)
    distance = np.clip(np.linalg.norm(end - start), 1e-3, _UPPER_ARM + _FOREARM - 0.1)
    reach = (_UPPER_ARM**2 - _FOREARM**2 + distance**2) / (2 * distance)
    height = np.sqrt(max(_UPPER_ARM**2 - reach**2, 0))
    axis = (end - start) / np.linalg.norm(end - start)
    across = np.array([-axis[1], axis[0]])
    candidates = [start + axis * reach + sign * height * across for sign in (-1, 1)]
    best = max(candidates, key=lambda elbow: 0.8 * elbow[1] + side * elbow[0])
    return tuple(best)
