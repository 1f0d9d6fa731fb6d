"""Accordion and xylophone."""

import numpy as np

from solos.synthesis.canvas import Canvas, along, shade
from solos.synthesis.looks import Look
from solos.synthesis.motion import Pose
from solos.synthesis.player import LEFT_SHOULDER, RIGHT_SHOULDER, arm, body, head


def accordion(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Two boxes and the bellows between; a keyboard on the one, buttons on the other."""
    body(canvas, look, seated=True)
    head(canvas, look)
    red = shade((168, 26, 36), look.finish)
    open_by = 12 + 24 * pose.main
    fixed, moving = -12.0, -12.0 + open_by
    _bellows(canvas, fixed, moving, shade(red, 0.55))
    canvas.line([(-9, 2), (-14, 20)], 2.6, (30, 24, 24))
    canvas.line([(9, 2), (10, 16)], 2.6, (30, 24, 24))
    canvas.shape([(fixed - 12, 10), (fixed + 1, 9), (fixed + 1, 51), (fixed - 12, 52)], red)
    canvas.shape(
        [(fixed - 4, 12), (fixed - 1, 12), (fixed - 1, 48), (fixed - 4, 48)], (224, 214, 190)
    )
    _keyboard(canvas, fixed - 19)
    tilt = 3 * pose.main
    box = [(moving, 9), (moving + 12, 9 + tilt), (moving + 12, 51 + tilt), (moving, 51)]
    canvas.shape(box, red)
    for row in range(6):
        for column in range(3):
            spot = (moving + 3 + 3 * column, 15 + 6 * row + tilt * (column + 1) / 4)
            canvas.oval(spot, (0.9, 0.9), (240, 236, 226))
    arm(canvas, look, LEFT_SHOULDER, (moving + 13, 28 + tilt))
    arm(canvas, look, RIGHT_SHOULDER, (fixed - 14, 16 + 28 * (1 - pose.second)))


def _bellows(canvas: Canvas, left: float, right: float, dark: tuple) -> None:
    folds = 9
    xs = np.linspace(left, right, 2 * folds + 1)
    top = [(x, 9 + (1.6 if number % 2 else 0)) for number, x in enumerate(xs)]
    bottom = [(x, 51 - (1.6 if number % 2 else 0)) for number, x in enumerate(xs)]
    canvas.shape(top + bottom[::-1], dark)
    for number in range(0, 2 * folds, 2):
        light = shade(dark, 1.9)
        canvas.shape([top[number], top[number + 1], bottom[number + 1], bottom[number]], light)
    for x, _ in top[::2]:
        canvas.line([(x, 9), (x, 51)], 0.5, (226, 214, 180))


def _keyboard(canvas: Canvas, x: float) -> None:
    canvas.shape([(x - 1, 9), (x + 7.5, 9), (x + 7.5, 52), (x - 1, 52)], (30, 26, 26))
    for key in range(13):
        y = 10 + 3.2 * key
        canvas.shape([(x, y), (x + 7, y), (x + 7, y + 2.7), (x, y + 2.7)], (244, 242, 236))
        if key % 7 not in (2, 6):
            canvas.shape(
                [(x + 3, y + 2), (x + 7, y + 2), (x + 7, y + 4), (x + 3, y + 4)], (18, 18, 20)
            )


def xylophone(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Wooden bars over tubes in front of a standing player, two mallets."""
    body(canvas, look, seated=False)
    head(canvas, look)
    wood = shade((172, 84, 42), look.finish)
    bars = 16
    for bar in range(bars):
        x, low = -52 + 104 * bar / (bars - 1), 76 - 1.4 * bar
        canvas.tube([(x, 52), (x, 60), (x, low + 12)], [4.2, 4.2], (176, 178, 186))
    canvas.line([(-57, 46), (57, 49)], 2.2, (60, 44, 36))
    canvas.line([(-57, 66), (57, 60)], 2.2, (60, 44, 36))
    for bar in range(bars):
        x, half = -52 + 104 * bar / (bars - 1), 14.5 - 0.5 * bar
        shape = [
            (x - 2.7, 55 - half),
            (x + 2.7, 55 - half),
            (x + 2.9, 55 + half),
            (x - 2.9, 55 + half),
        ]
        canvas.shape(shape, shade(wood, 1.0 if bar % 2 else 1.18))
        canvas.oval((x, 55 - 0.7 * half), (0.8, 0.8), (50, 30, 20))
        canvas.oval((x, 55 + 0.7 * half), (0.8, 0.8), (50, 30, 20))
    _mallets(canvas, look, pose)


def _mallets(canvas: Canvas, look: Look, pose: Pose) -> None:
    """The one nearer to the note strikes, the other waits raised."""
    target = -50 + 100 * pose.main
    striking = -1 if pose.main < 0.5 else 1
    for side, shoulder in ((-1, RIGHT_SHOULDER), (1, LEFT_SHOULDER)):
        strikes = side == striking
        x = target if strikes else 0.35 * target + side * 14
        y = 54 - (14 * pose.second if strikes else 11)
        hand = (0.45 * x + side * 9, 34 + 0.15 * (y - 40))
        arm(canvas, look, shoulder, hand)
        canvas.line([along(hand, (x, y), -0.12), (x, y)], 1.0, (226, 196, 140))
        canvas.oval((x, y), (2.6, 2.4), shade((60, 90, 170), 1.0))
