"""Flute, oboe, clarinet, bassoon, saxophone."""

from dataclasses import dataclass

import numpy as np

from solos.synthesis.canvas import Canvas, Colour, Frame, Point, bezier, shade
from solos.synthesis.looks import Look
from solos.synthesis.motion import Pose
from solos.synthesis.player import (
    LEFT_SHOULDER,
    MOUTH,
    RIGHT_SHOULDER,
    arm,
    body,
    fingers,
    fist,
    head,
)

_SILVER = (206, 212, 222)
_REED = (226, 200, 140)


def flute(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Silver, across the face to the player's right."""
    body(canvas, look, seated=False)
    head(canvas, look, turned=-1.5)
    frame = Frame((5, MOUTH[1] + 1.4), 173 - 4 * pose.second)  # x runs to the player's right
    near, far = frame.at(19, 1.5), frame.at(34, -2)
    arm(canvas, look, LEFT_SHOULDER, near, out=0.4)
    arm(canvas, look, RIGHT_SHOULDER, far)
    silver = shade(_SILVER, min(look.finish, 1.0))
    canvas.line(frame([(-3, 0), (50, 0)]), 3.6, shade(silver, 0.5))
    canvas.tube(frame([(-3, 0), (20, 0), (50, 0)]), [3.0, 3.0], silver)
    canvas.line(frame([(4, 0), (9, 0)]), 4.0, silver)
    canvas.oval(frame.at(6.2, 0.8), (1.4, 0.8), (70, 72, 80))
    for key in np.linspace(16, 44, 9):
        canvas.oval(frame.at(key, 0.9), (1.5, 1.3), shade(silver, 0.72))
    for joint in (13, 46):
        canvas.line(frame([(joint, -1.7), (joint, 1.7)]), 1.0, shade(silver, 0.6))
    for start in (16, 31):
        places = [frame.at(start + 3 * finger, 2.2) for finger in range(4)]
        fingers(canvas, look.skin, places, pose.main)


@dataclass(frozen=True)
class _Pipe:
    """A straight pipe: angle below the level line, length, widths along it, colour."""

    degrees: float
    length: float
    widths: tuple[float, ...]
    colour: Colour


def _straight(canvas: Canvas, look: Look, pose: Pose, pipe: _Pipe) -> Frame:
    """A pipe held out from the mouth downwards, with keys and both hands; x along it."""
    length, widths, colour = pipe.length, pipe.widths, shade(pipe.colour, look.finish)
    frame = Frame(MOUTH, pipe.degrees - 6 * pose.second)
    upper, lower = frame.at(0.36 * length, 1.2), frame.at(0.64 * length, -1.2)
    arm(canvas, look, LEFT_SHOULDER, upper)
    arm(canvas, look, RIGHT_SHOULDER, lower)
    rim = [width + 1.2 for width in widths]
    canvas.tube(frame([(7, 0), (length / 2, 0), (length, 0)]), rim, shade(colour, 0.6))
    canvas.tube(frame([(7, 0), (length / 2, 0), (length, 0)]), widths, colour)
    for key in np.linspace(0.24, 0.8, 10):
        canvas.oval(frame.at(key * length, 1.0), (1.2, 1.1), _SILVER)
    canvas.line(frame([(0.3 * length, -1.6), (0.85 * length, -1.8)]), 0.7, _SILVER)
    for share, side in ((0.31, -1), (0.58, 1)):
        places = [frame.at((share + 0.055 * k) * length, 2.4 * side) for k in range(4)]
        fingers(canvas, look.skin, places, pose.main)
    return frame


def oboe(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Slim and conical, a bare reed between the lips, a small bell."""
    body(canvas, look, seated=True)
    head(canvas, look)
    colour = shade((58, 34, 28), look.finish)
    frame = _straight(canvas, look, pose, _Pipe(58, 49, (1.6, 2.6, 3.6), (58, 34, 28)))
    canvas.shape(
        frame([(48, -1.8), (52, -3.4), (54, -2.8), (54, 2.8), (52, 3.4), (48, 1.8)]), colour
    )
    canvas.line(frame([(51.5, -3.2), (51.5, 3.2)]), 0.9, _SILVER)
    canvas.tube(frame([(0, 0), (4, 0), (8, 0)]), [1.9, 1.1], _REED)


def clarinet(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Thick, black and cylindrical, silver rings, a wide flaring bell, held nearly upright."""
    body(canvas, look, seated=True)
    head(canvas, look)
    colour = shade((22, 22, 28), look.finish)
    frame = _straight(canvas, look, pose, _Pipe(98, 54, (3.6, 3.9, 4.2), (22, 22, 28)))
    flare = bezier((52, 2.2), (58, 2.4), (60, 5.5), (63, 7.6), n=8)
    canvas.shape(frame(np.concatenate([flare, (flare * (1, -1))[::-1]])), colour)
    canvas.line(frame([(63, -7.4), (63, 7.4)]), 1.4, _SILVER)
    for ring in (13, 32, 53):
        canvas.line(frame([(ring, -2.4), (ring, 2.4)]), 1.3, _SILVER)
    canvas.shape(frame([(0, -0.7), (0, 0.7), (7, 2), (7, -2)]), (16, 16, 18))
    canvas.line(frame([(5, -1.5), (5, 1.5)]), 1.6, _SILVER)


def bassoon(canvas: Canvas, look: Look, pose: Pose) -> None:
    """A tall brown-red pipe across the body, from the right hip to above the left shoulder."""
    body(canvas, look, seated=True)
    head(canvas, look)
    wood = shade((138, 42, 26), look.finish)
    frame = Frame((-19, 66), -64 - 3 * pose.second)  # x up to the bell
    right, left = frame.at(26, -3), frame.at(50, 3)
    pipe = [(0, 0), (50, 0), (104, 0)]
    canvas.tube(frame(pipe), [8.6, 8.0, 6.4], shade(wood, 0.5))
    canvas.tube(frame(pipe), [7.2, 6.6, 5.2], wood)
    canvas.tube(frame([(3, -4), (30, -4.4), (58, -3.6)]), [4.6, 3.4], shade(wood, 0.85))
    canvas.line(frame([(0, -4), (0, 3)]), 3.4, _SILVER)  # boot cap
    for ring in (32, 72, 98):
        canvas.line(frame([(ring, -3), (ring, 3)]), 1.4, _SILVER)
    canvas.line(frame([(103.5, -3), (103.5, 3)]), 3.0, (240, 236, 224))  # ivory ring
    for key in np.linspace(12, 90, 12):
        canvas.oval(frame.at(key, 1.2), (1.4, 1.4), _SILVER)
    canvas.line(frame([(12, 2.6), (92, 2.2)]), 0.8, _SILVER)
    joint = frame.at(57, -3.6)
    bocal = bezier(joint, (joint[0] - 3, joint[1] - 9), (MOUTH[0] + 6, MOUTH[1] + 1), MOUTH)
    canvas.line(bocal, 1.5, _SILVER)
    canvas.line([MOUTH, (1.8, MOUTH[1] + 0.3)], 2.2, _REED)
    arm(canvas, look, RIGHT_SHOULDER, right)
    arm(canvas, look, LEFT_SHOULDER, left)
    places = [frame.at(46 + 3 * finger, 0) for finger in range(4)]
    fingers(canvas, look.skin, places, pose.main)


def saxophone(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Golden: crook, body, bow, and the bell turned up at the player's right."""
    body(canvas, look, seated=False)
    head(canvas, look)
    gold = shade((222, 168, 48), look.finish)
    lift = -2.5 * pose.second
    crook = bezier(MOUTH, (-2, MOUTH[1] - 1), (-7, MOUTH[1] - 1 + lift), (-5.5, 3 + lift))
    pipe = bezier((-5.5, 3 + lift), (-4, 16 + lift), (-5, 36 + lift), (-6, 47 + lift), n=10)
    bow = bezier((-6, 47 + lift), (-6, 60 + lift), (-22, 60 + lift), (-23, 44 + lift))
    rise = bezier((-23, 44 + lift), (-24, 36 + lift), (-25, 28 + lift), (-29, 19 + lift), n=8)
    canvas.tube(crook, [1.8, 3.0], shade(gold, 0.85))
    canvas.line([MOUTH, (-2.6, MOUTH[1] - 0.5)], 1.7, (20, 20, 22))
    for path, widths in ((pipe, [3.4, 7.0]), (bow, [7.0, 9.5]), (rise, [9.5, 12, 19])):
        canvas.tube(path, [width + 1.4 for width in widths], shade(gold, 0.5))
    for path, widths in ((pipe, [3.4, 7.0]), (bow, [7.0, 9.5]), (rise, [9.5, 12, 19])):
        canvas.tube(path, widths, gold)
    canvas.oval((-29.2, 18.6 + lift), (10.2, 4.6), shade(gold, 1.25), 22)
    canvas.oval((-29.2, 18.9 + lift), (8.2, 3.2), shade(gold, 0.38), 22)
    _sax_keys(canvas, gold, lift)
    upper, lower = (-3.4, 19 + lift), (-6.6, 37 + lift)
    arm(canvas, look, LEFT_SHOULDER, upper)
    arm(canvas, look, RIGHT_SHOULDER, lower)
    _tips(canvas, look, pose, (upper, lower))


def _sax_keys(canvas: Canvas, gold: Colour, lift: float) -> None:
    for y in np.linspace(10, 46, 8):
        canvas.oval((-4.8, y + lift), (2.1, 1.9), shade(gold, 0.62))
        canvas.oval((-4.8, y + lift), (1.3, 1.1), (244, 240, 226))
    for y in (34, 41):
        canvas.oval((-22, y + lift), (3.0, 2.7), shade(gold, 0.62))


def _tips(canvas: Canvas, look: Look, pose: Pose, hands: tuple[Point, Point]) -> None:
    for x, y in hands:
        fist(canvas, look, (x, y))
        places = [(x - 2.4, y - 3 + 2.4 * finger) for finger in range(3)]
        fingers(canvas, look.skin, places, pose.main)
