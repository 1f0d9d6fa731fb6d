"""A whole picture: the room, the player, the light; drawn once a pose and kept."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from solos.synthesis import brass, others, strings, woodwinds
from solos.synthesis.canvas import Canvas, Frame, shade
from solos.synthesis.looks import Look
from solos.synthesis.motion import pose_at

_OVER = 2  # pictures are drawn this many times larger, then averaged down: smooth edges
_DEPTH_OF_FIELD = 0.02  # blur of what is behind the player, in heights of the picture
_HAZE = (150, 146, 140)  # what the room's colours are drawn towards, so that the player stands out
_NECK = (66.7, 34.0)  # where the base of the neck is in a picture of 133 by 100 units

DRAWINGS = {
    "Bassoon": (woodwinds.bassoon, 0.92, (0, 6)),
    "Cello": (strings.cello, 0.84, (0, -5)),
    "Clarinet": (woodwinds.clarinet, 1.1, (2, -6)),
    "DoubleBass": (strings.double_bass, 0.72, (-6, 3)),
    "Flute": (woodwinds.flute, 1.18, (17, 6)),
    "Horn": (brass.horn, 1.15, (2, -3)),
    "Oboe": (woodwinds.oboe, 1.18, (-8, 0)),
    "Saxophone": (woodwinds.saxophone, 1.12, (8, -4)),
    "Trombone": (brass.trombone, 0.98, (20, 4)),
    "Trumpet": (brass.trumpet, 1.22, (20, 6)),
    "Tuba": (brass.tuba, 1.0, (-5, 6)),
    "Viola": (strings.viola, 1.06, (-18, 2)),
    "Violin": (strings.violin, 1.2, (-16, 4)),
    "accordion": (others.accordion, 1.1, (4, -4)),
    "acoustic_guitar": (strings.guitar, 1.04, (-6, -4)),
    "erhu": (strings.erhu, 0.98, (-2, 0)),
    "xylophone": (others.xylophone, 0.92, (0, -4)),
}
"""Of each instrument: how it is drawn, the figure's size, its place (hundredths of the height)."""


def size(height: int) -> tuple[int, int]:
    """Width and height of a 4:3 picture in pixels, both even."""
    return 2 * round(height * 2 / 3), height


class Player:
    """A player with an instrument in front of a camera.

    Args:
        name: key of DRAWINGS.
        look: person, room and light.
        height: of the picture in pixels.
    """

    def __init__(self, name: str, look: Look, height: int):
        self.draw, self.zoom, self.place = DRAWINGS[name]
        self.look = look
        self.size = size(height)
        self.unit = _OVER * height / 100
        self.room = _room(look, (_OVER * self.size[0], _OVER * self.size[1]))
        self.light = _light(look, self.size)
        self.picture = lru_cache(maxsize=None)(self._picture)

    def _picture(self, move: tuple[int, int, int]) -> np.ndarray:
        """The picture of a pose, given by its place in ``motion.GRID``: uint8 (H, W, 3)."""
        pose = pose_at(move)
        image = self.room.copy()
        self.draw(Canvas(image, self._frame(pose.sway)), self.look, pose)
        picture = ImageChops.multiply(image.reduce(_OVER), self.light)
        return np.asarray(picture)

    def _frame(self, sway: float) -> Frame:
        """Figure coordinates to pixels: the camera's framing, and a lean to one side."""
        x = _NECK[0] + self.place[0] + self.look.shift[0] + 1.6 * (sway - 0.5)
        y = _NECK[1] + self.place[1] + self.look.shift[1]
        scale = self.zoom * self.look.scale
        return Frame((x * self.unit, y * self.unit), 3.0 * (sway - 0.5), scale * self.unit)


def _light(look: Look, shape: tuple[int, int]) -> Image.Image:
    """What each pixel is multiplied by."""
    x, y = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]))
    corner = 1 - look.vignette * (x**2 + y**2) / 2
    values = 255 * corner[..., None] * np.array(look.tint)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _room(look: Look, shape: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", shape, look.wall)
    canvas = Canvas(image, Frame((0, 0), 0, shape[1] / 100))
    _WALLS[look.pattern](canvas, look, np.random.default_rng(look.seed))
    canvas.shape([(0, 84), (134, 84), (134, 101), (0, 101)], look.floor)
    canvas.line([(0, 84), (134, 84)], 1.2, shade(look.floor, 0.7))
    soft = image.filter(ImageFilter.GaussianBlur(_DEPTH_OF_FIELD * shape[1]))
    return Image.blend(soft, Image.new("RGB", shape, _HAZE), 0.4)


def _plain(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    for band in range(10):
        box = [(0, 9 * band), (134, 9 * band), (134, 9 * band + 9), (0, 9 * band + 9)]
        canvas.shape(box, shade(look.wall, 0.84 + 0.02 * band))


def _panels(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    step = rng.uniform(18, 34)
    for x in np.arange(rng.uniform(-10, 0), 134, step):
        frame = [(x + 2, 8), (x + step - 3, 8), (x + step - 3, 76), (x + 2, 76), (x + 2, 8)]
        canvas.shape(frame, shade(look.wall, 1.12))
        canvas.line(frame, 0.9, shade(look.wall, 0.75))


def _curtain(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    x = 0.0
    while x < 134:
        width = rng.uniform(3, 8)
        factor = rng.uniform(0.7, 1.1)
        canvas.shape([(x, 0), (x + width, 0), (x + width, 86), (x, 86)], shade(look.wall, factor))
        x += width


def _bricks(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    for row in range(15):
        for x in np.arange(-6 * (row % 2), 134, 12):
            colour = shade(look.wall, rng.uniform(0.78, 1.0))
            y = 6 * row
            box = [(x + 0.5, y + 0.5), (x + 11.5, y + 0.5), (x + 11.5, y + 5.5), (x + 0.5, y + 5.5)]
            canvas.shape(box, colour)


def _shelves(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    left = rng.uniform(-30, 20)
    for side in (left, left + 86):
        canvas.shape(
            [(side, 6), (side + 46, 6), (side + 46, 84), (side, 84)], shade(look.floor, 0.6)
        )
        for row in range(5):
            x = side + 1.5
            while x < side + 41:
                width, tall = rng.uniform(1.6, 3.6), rng.uniform(8.5, 12.5)
                colour = tuple(int(value) for value in rng.integers(50, 190, 3))
                base = 20.5 + 15 * row
                canvas.shape(
                    [(x, base - tall), (x + width, base - tall), (x + width, base), (x, base)],
                    colour,
                )
                x += width + 0.3


def _window(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    x, width = rng.uniform(4, 84), rng.uniform(32, 48)
    sky = tuple(int(value) for value in rng.integers((150, 180, 205), (215, 225, 250)))
    canvas.shape([(x, 6), (x + width, 6), (x + width, 56), (x, 56)], shade(look.wall, 1.6))
    for row in range(2):
        for column in range(2):
            left, top = x + 2 + column * width / 2, 8 + 24 * row
            right = left + width / 2 - 4
            canvas.shape([(left, top), (right, top), (right, top + 22), (left, top + 22)], sky)


_WALLS = {
    "plain": _plain,
    "panels": _panels,
    "curtain": _curtain,
    "bricks": _bricks,
    "shelves": _shelves,
    "window": _window,
}
