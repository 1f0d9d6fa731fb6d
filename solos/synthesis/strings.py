"""Bowed and plucked players: violin, viola, cello, double bass, erhu, guitar."""

import numpy as np

from solos.synthesis.canvas import Canvas, Colour, Frame, Point, along, bezier, oval, shade
from solos.synthesis.looks import Look
from solos.synthesis.motion import Pose
from solos.synthesis.player import LEFT_SHOULDER, RIGHT_SHOULDER, arm, body, fist, head

_EBONY = (26, 20, 18)
_STRING = (222, 222, 214)
_HORSEHAIR = (240, 236, 222)


def _fiddle_outline() -> np.ndarray:
    """Upper half of a violin's body along x from 0 (tail) to 22 (neck), closed by its mirror."""
    lower = bezier((0, 0), (-1, 8), (4, 8.6), (7, 6.6), n=8)
    waist = bezier((7.2, 6.4), (8.6, 3.4), (12.6, 3.4), (13.6, 5.6), n=6)
    upper = bezier((13.8, 5.8), (17, 7.2), (22, 6.2), (22, 0), n=8)
    half = np.concatenate([lower, waist, upper])
    return np.concatenate([half, (half * (1, -1))[::-1]])


_FIDDLE = _fiddle_outline()


def _fiddle(canvas: Canvas, frame: Frame, wood: Colour, neck: float) -> None:
    """A violin's shape in ``frame``: body from x = 0 to 22, neck ``neck`` long, scroll."""
    end = 22 + neck
    canvas.shape(frame(_FIDDLE * 1.06 - (0.6, 0)), shade(wood, 0.42))
    canvas.shape(frame(_FIDDLE), wood)
    canvas.shape(frame(_FIDDLE * 0.62 + (4.2, -0.6)), shade(wood, 1.22))
    for side in (-1, 1):
        f_hole = bezier((6.8, 4.4 * side), (8.6, 2.2 * side), (10.4, 4.8 * side), (12.6, 3 * side))
        canvas.line(frame(f_hole), 0.8 * frame.scale, _EBONY)
        for peg in (2.2, 5.0):
            pegs = [(end + peg, 0), (end + peg + side * 0.6, 3.4 * side)]
            canvas.line(frame(pegs), 1.1 * frame.scale, _EBONY)
    canvas.line(frame([(22, 0), (end + 6, 0)]), 2.8 * frame.scale, shade(wood, 0.7))
    canvas.shape(frame([(13.4, -1.9), (end, -1.2), (end, 1.2), (13.4, 1.9)]), _EBONY)
    canvas.shape(frame([(1, -0.8), (6, -1.8), (6, 1.8), (1, 0.8)]), _EBONY)
    canvas.oval(frame.at(end + 7, 0), (2.2 * frame.scale,) * 2, shade(wood, 0.6))
    canvas.line(frame([(9.4, -2.6), (9.4, 2.6)]), 1.1 * frame.scale, (226, 190, 130))
    for string in (-0.7, 0.7):
        canvas.line(frame([(6, string), (end, string * 0.8)]), 0.35 * frame.scale, _STRING)


def _bow(canvas: Canvas, crossing: Point, degrees: float, length: float, main: float) -> Point:
    """A bow across a string; returns where its frog is held. ``main``: 0 at the frog, 1 at the tip.

    The tip lies in the direction ``degrees`` from the frog.
    """
    travel = (0.1 + 0.8 * main) * length
    bow = Frame(crossing, degrees).at(-travel, 0)
    frame = Frame(bow, degrees)
    stick = frame(bezier((-3, -1.9), (length * 0.5, -0.7), (length, -2.2)))
    canvas.line(frame([(0, 0.3), (length, 0)]), 1.2, _HORSEHAIR)
    canvas.line(stick, 1.3, (112, 50, 24))
    canvas.line(frame([(length, -2.2), (length + 0.4, 0.4)]), 1.5, (112, 50, 24))
    canvas.line(frame([(0.4, -1.4), (3.6, -1.2)]), 2.4, _EBONY)
    return frame.at(0.5, -0.6)


def _shouldered(canvas: Canvas, look: Look, pose: Pose, frame: Frame, wood: Colour) -> None:
    """Violin and viola: under the chin, to the player's left."""
    body(canvas, look, seated=False)
    neck = 17.0
    hand = frame.at(22 + neck * (0.95 - 0.5 * pose.second), 2.6)
    arm(canvas, look, LEFT_SHOULDER, hand, out=0.2)
    _fiddle(canvas, frame, shade(wood, look.finish), neck)
    fist(canvas, look, hand)
    head(canvas, look, turned=2.0)
    rest = (3.4 * frame.scale, 2.2 * frame.scale)
    canvas.oval(frame.at(3.5, -4.6), rest, _EBONY, frame.degrees)  # for the chin
    angle = frame.degrees - 64 + 10 * (pose.main - 0.5)
    frog = _bow(canvas, frame.at(11.5, 0), angle, 46, pose.main)
    arm(canvas, look, RIGHT_SHOULDER, frog)


def violin(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Small and bright, nearly level."""
    _shouldered(canvas, look, pose, Frame((-1.5, 1.5), 9, 0.98), (206, 112, 44))


def viola(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Larger, darker, lower."""
    _shouldered(canvas, look, pose, Frame((-1.5, 1.5), 21, 1.34), (116, 48, 28))


def cello(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Between the knees of a seated player, its scroll beside the head."""
    body(canvas, look, seated=True)
    wood = shade((176, 84, 34), look.finish)
    frame = Frame((1, 88), -82, 2.3)
    hand = frame.at(22 + 13 * (0.92 - 0.75 * pose.second), -1.0)
    canvas.line([frame.at(0, 0), frame.at(-5.5, 0)], 1.2, (60, 60, 64))  # end pin
    head(canvas, look, turned=-1.5)
    _fiddle(canvas, frame, wood, 15)
    for side in (-1, 1):
        canvas.line([(side * 20, 57), (side * 21, 68)], 11, look.trousers)
    arm(canvas, look, LEFT_SHOULDER, hand)
    frog = _bow(canvas, frame.at(11.6, 0), 6 - 8 * (pose.main - 0.5), 52, pose.main)
    arm(canvas, look, RIGHT_SHOULDER, frog)


def double_bass(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Taller than the player who stands behind it."""
    body(canvas, look, seated=False)
    head(canvas, look, turned=1.5)
    wood = shade((132, 66, 30), look.finish)
    frame = Frame((11, 114), -85, 3.15)
    canvas.line([frame.at(0, 0), frame.at(-3, 0)], 1.4, (60, 60, 64))
    _fiddle(canvas, frame, wood, 22)
    hand = frame.at(24 + 18 * (0.92 - 0.75 * pose.second), 0.4)
    arm(canvas, look, LEFT_SHOULDER, hand)
    frog = _bow(canvas, frame.at(12.5, 0), 10 - 6 * (pose.main - 0.5), 50, pose.main)
    arm(canvas, look, RIGHT_SHOULDER, frog)


def erhu(canvas: Canvas, look: Look, pose: Pose) -> None:
    """A small drum on the thigh, a long bare neck with two great pegs, the bow between strings."""
    body(canvas, look, seated=True)
    head(canvas, look)
    wood = shade((92, 30, 22), look.finish)
    foot, top = (9.0, 52.0), (13.5, -26.0)
    canvas.line([foot, top], 2.2, wood)
    canvas.line([top, (11.5, -30)], 2.6, shade(wood, 0.7))
    for share in (0.83, 0.93):
        x, y = along(foot, top, share)
        canvas.line([(x - 1, y), (x + 8.5, y - 1.5)], 2.0, shade(wood, 1.25))
        canvas.oval((x + 8.5, y - 1.5), (1.8, 2.0), shade(wood, 0.7))
    for off in (-1.7, -0.9):
        canvas.line([(foot[0] + off, foot[1]), along(foot, top, 0.86)], 0.35, _STRING)
    drum = oval((9, 53), (9, 8), 22, n=6)
    canvas.shape((drum - (9, 53)) * 1.12 + (9, 53), shade(wood, 0.6))
    canvas.shape(drum, (206, 196, 150))
    for row in range(3):
        for column in range(3):
            spot = (5 + 4 * column, 49.5 + 3.5 * row)
            canvas.oval(spot, (1.2, 0.9), (150, 136, 96))
    hand = along(foot, top, 0.78 - 0.4 * pose.second)
    arm(canvas, look, LEFT_SHOULDER, (hand[0] + 1, hand[1]))
    frog = _bow(canvas, (7.5, 44.5), 3 - 4 * (pose.main - 0.5), 56, pose.main)
    arm(canvas, look, RIGHT_SHOULDER, frog)


def guitar(canvas: Canvas, look: Look, pose: Pose) -> None:
    """On the thigh of a seated player: round body, sound hole, fretted neck."""
    body(canvas, look, seated=True)
    head(canvas, look, turned=1.0)
    wood = shade((224, 168, 92), look.finish)
    frame = Frame((-22, 43), -13, 1.55)
    outline = _guitar_outline()
    canvas.shape(frame(outline * 1.05 - (0.6, 0)), shade(wood, 0.38))
    canvas.shape(frame(outline), wood)
    canvas.oval(frame.at(17.5, 0), (6.4, 6.4), shade(wood, 0.5))
    canvas.oval(frame.at(17.5, 0), (5.4, 5.4), (34, 22, 16))
    canvas.line(frame([(6.5, -4), (6.5, 4)]), 2.4, (70, 40, 24))
    canvas.shape(frame([(20, -1.9), (50, -1.5), (50, 1.5), (20, 1.9)]), (64, 40, 28))
    for fret in range(9):
        x = 49 - 3.1 * fret
        canvas.line(frame([(x, -1.5), (x, 1.5)]), 0.4, (200, 196, 180))
    canvas.shape(frame([(50, -2), (57, -2.8), (57, 2.8), (50, 2)]), shade(wood, 0.5))
    for peg in (52, 54, 56):
        for side in (-1, 1):
            canvas.oval(frame.at(peg, 3.8 * side), (1.1, 1.1), (230, 226, 210))
    for string in (-1, 0, 1):
        canvas.line(frame([(6.5, string * 1.1), (50, string)]), 0.3, _STRING)
    hand = frame.at(46 - 20 * pose.second, 2.4)
    arm(canvas, look, LEFT_SHOULDER, hand)
    arm(canvas, look, RIGHT_SHOULDER, frame.at(14 + 2 * pose.main, -3 + 6 * pose.main))


def _guitar_outline() -> np.ndarray:
    lower = bezier((0, 0), (-1, 12), (8, 14), (12.5, 8.5), n=9)
    upper = bezier((12.8, 8.2), (15, 5.2), (27, 14), (26, 0), n=9)
    half = np.concatenate([lower, upper])
    return np.concatenate([half, (half * (1, -1))[::-1]])
