"""Trumpet, trombone, horn, tuba."""

import numpy as np

from solos.synthesis.canvas import Canvas, Colour, Frame, bezier, shade
from solos.synthesis.looks import Look
from solos.synthesis.motion import Pose
from solos.synthesis.player import LEFT_SHOULDER, MOUTH, RIGHT_SHOULDER, arm, body, fist, head

_BRASS = (226, 182, 70)
_PALE = (232, 206, 130)


def _flare(canvas: Canvas, frame: Frame, length: float, radius: float, colour: Colour) -> None:
    """A bell that opens along x, from 0 to ``length``, with its dark mouth."""
    half = bezier((0, 1.2), (length * 0.7, 1.8), (length * 0.86, radius * 0.4), (length, radius))
    outline = np.concatenate([half, (half * (1, -1))[::-1]])
    canvas.shape(frame(outline * (1, 1.12)), shade(colour, 0.5))
    canvas.shape(frame(outline), colour)
    canvas.shape(frame(outline * (1, 0.3) - (0, radius * 0.28)), shade(colour, 1.5))
    centre = frame.at(length, 0)
    size = frame.scale
    canvas.oval(
        centre, (radius * 0.42 * size, radius * 1.06 * size), shade(colour, 1.3), frame.degrees
    )
    canvas.oval(
        centre, (radius * 0.3 * size, radius * 0.9 * size), shade(colour, 0.32), frame.degrees
    )


def trumpet(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Short, to the player's right: three valves on a flat loop, a bell in front."""
    body(canvas, look, seated=False)
    head(canvas, look, turned=-2.0)
    gold = shade(_BRASS, look.finish)
    frame = Frame((MOUTH[0] - 2, MOUTH[1] + 0.5), 170 - 7 * pose.second)
    arm(canvas, look, LEFT_SHOULDER, frame.at(17, -3.4), out=0.3)
    arm(canvas, look, RIGHT_SHOULDER, frame.at(19, 8.6))
    canvas.line(frame([(0, 0), (11, 0)]), 1.9, gold)
    canvas.line(frame([(0, 0), (2.6, 0)]), 3.2, shade(gold, 1.3))
    loop = np.concatenate(
        [
            bezier((8, 0), (30, 0), n=4),
            bezier((30, 0), (35.5, 0), (35.5, -8), (30, -8), n=8),
            bezier((30, -8), (9, -8), n=4),
            bezier((9, -8), (3.5, -8), (3.5, 0), (9, 0), n=8),
        ]
    )
    canvas.line(frame(loop), 3.0, shade(gold, 0.5))
    canvas.line(frame(loop), 2.1, gold)
    for number, x in enumerate((15, 19, 23)):
        down = 1.8 if int(pose.main * 7.99) >> number & 1 else 0.0
        canvas.line(frame([(x, 4.5), (x, -11)]), 3.4, shade(gold, 0.55))
        canvas.line(frame([(x, 4.5), (x, -11)]), 2.6, shade(gold, 1.2))
        canvas.line(frame([(x, 4.5), (x, 7.2 - down)]), 0.9, shade(gold, 0.7))
        canvas.oval(frame.at(x, 7.6 - down), (1.5, 0.9), (240, 236, 226))
    _flare(canvas, Frame(frame.at(27, 0), frame.degrees), 21, 9.0, gold)
    fist(canvas, look, frame.at(19, 9.4))
    fist(canvas, look, frame.at(18, -3.4))


def trombone(canvas: Canvas, look: Look, pose: Pose) -> None:
    """A long double slide out to the player's right, the bell beside it, a loop behind the head."""
    gold = shade(_BRASS, look.finish)
    frame = Frame((MOUTH[0], MOUTH[1] + 0.6), 163 - 4 * pose.second)
    loop = bezier((16, 9.5), (-24, 9.5), (-34, 9.5), (-34, 17), (-26, 18), (-6, 17), n=18)
    canvas.line(frame(loop), 3.6, shade(gold, 0.5))
    canvas.line(frame(loop), 2.4, gold)
    body(canvas, look, seated=False)
    head(canvas, look, turned=-2.0)
    out = 16 + 24 * pose.main
    end = 36 + out * 0.9
    for y in (0.0, -6.5):
        canvas.line(frame([(2, y), (36, y)]), 1.5, shade(gold, 1.5))
        canvas.line(frame([(out - 4, y), (end, y)]), 2.8, shade(gold, 0.5))
        canvas.line(frame([(out - 4, y), (end, y)]), 2.0, gold)
    bend = frame(bezier((end, 0), (end + 4.5, 0), (end + 4.5, -6.5), (end, -6.5)))
    canvas.line(bend, 2.2, gold)
    for x in (out - 4, 7):
        canvas.line(frame([(x, 0), (x, -6.5)]), 1.8, shade(gold, 1.3))
    canvas.line(frame([(0, 0), (3, 0)]), 3.6, shade(gold, 1.3))
    _flare(canvas, Frame(frame.at(13, 9.5), frame.degrees), 25, 11.5, gold)
    canvas.line(frame([(11, -6.5), (14, 9)]), 1.8, gold)
    arm(canvas, look, LEFT_SHOULDER, frame.at(10, -3), out=0.3)
    arm(canvas, look, RIGHT_SHOULDER, frame.at(out - 3.5, -6))


def horn(canvas: Canvas, look: Look, pose: Pose) -> None:
    """A round coil in the lap, the right hand inside a wide bell that looks backwards."""
    body(canvas, look, seated=True)
    head(canvas, look)
    gold = shade(_PALE, look.finish)
    lift = -2.0 * pose.second
    x, y = 3.0, 25.0 + lift
    arm(canvas, look, RIGHT_SHOULDER, (-15, 38 + lift))
    throat = bezier((10, 40 + lift), (0, 46 + lift), (-8, 44 + lift), (-14, 40 + lift))
    canvas.tube(throat, [4, 7, 13], shade(gold, 0.8))
    canvas.oval((-17, 39 + lift), (13.5, 16), shade(gold, 0.5), 16)
    canvas.oval((-17, 39 + lift), (12.6, 15), gold, 16)
    canvas.oval((-16.6, 39 + lift), (9.6, 12), shade(gold, 0.72), 16)
    canvas.oval((-16, 39 + lift), (6, 8), shade(gold, 0.36), 16)
    for radius, width in ((16, 3.0), (12.4, 2.4), (9.0, 2.2)):
        canvas.ring((x, y), (radius, radius), width + 1.2, shade(gold, 0.45))
        canvas.ring((x, y), (radius, radius), width, gold)
    canvas.line(bezier(MOUTH, (2, 0), (14, 4 + lift), (16, 13 + lift)), 1.9, gold)
    canvas.line([MOUTH, (0.8, MOUTH[1] + 2.4)], 3.0, shade(gold, 1.4))
    for number, place in enumerate(((1, 20), (3.4, 25), (5.8, 30))):
        down = 0.8 if int(pose.main * 7.99) >> number & 1 else 0.0
        canvas.oval((place[0], place[1] + lift), (2.6, 2.6), shade(gold, 0.6))
        canvas.oval((place[0], place[1] + lift), (1.7, 1.7), shade(gold, 1.6))
        canvas.line(
            [(place[0], place[1] + lift), (11 - down, place[1] - 1 + lift)], 1.0, shade(gold, 0.8)
        )
    canvas.line([(-14, 31 + lift), (-16, 38 + lift)], 6.2, look.top)
    fist(canvas, look, (-16, 39 + lift))
    arm(canvas, look, LEFT_SHOULDER, (13, 24 + lift))


def tuba(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Huge, on the lap, the bell opening upwards beside the head."""
    body(canvas, look, seated=True)
    head(canvas, look, turned=-1.0)
    gold = shade(_BRASS, look.finish)
    lift = -1.5 * pose.second
    x, y = 5.0, 38.0 + lift
    _upright_bell(canvas, gold, lift)
    for radii, width in (((19, 24), 7.5), ((11.5, 16), 5.0)):
        canvas.ring((x, y), radii, width + 1.6, shade(gold, 0.45))
        canvas.ring((x, y), radii, width, gold)
        canvas.ring((x - 0.8, y - 0.8), radii, width * 0.3, shade(gold, 1.6))
    canvas.line(bezier(MOUTH, (1, 0), (-4, 8 + lift), (-12, 18 + lift)), 2.4, gold)
    canvas.line([MOUTH, (0.4, MOUTH[1] + 2.6)], 4.0, shade(gold, 1.4))
    for number, valve in enumerate((-2, 2.6, 7.2)):
        down = 1.8 if int(pose.main * 7.99) >> number & 1 else 0.0
        canvas.line([(valve, 32 + lift), (valve, 48 + lift)], 4.2, shade(gold, 0.5))
        canvas.line([(valve, 32 + lift), (valve, 48 + lift)], 3.2, shade(gold, 1.35))
        canvas.oval((valve, 28 + down + lift), (1.8, 1.1), (240, 236, 226))
        canvas.line([(valve, 28 + down + lift), (valve, 32 + lift)], 1.0, shade(gold, 0.7))
    arm(canvas, look, LEFT_SHOULDER, (23, 42 + lift))
    arm(canvas, look, RIGHT_SHOULDER, (1, 28 + lift))


def _upright_bell(canvas: Canvas, gold: Colour, lift: float) -> None:
    frame = Frame((21, 34 + lift), -81)
    _wide = bezier((0, 4), (34, 5), (46, 9), (60, 19))
    outline = np.concatenate([_wide, (_wide * (1, -1))[::-1]])
    canvas.shape(frame(outline * (1, 1.08)), shade(gold, 0.5))
    canvas.shape(frame(outline), gold)
    canvas.shape(frame(outline * (1, 0.25) - (0, 5)), shade(gold, 1.6))
    canvas.oval(frame.at(60, 0), (7.2, 20), shade(gold, 1.3), -81)
    canvas.oval(frame.at(60, 0), (5.4, 17), shade(gold, 0.34), -81)
