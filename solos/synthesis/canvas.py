"""Drawing in a figure's own coordinates: x to the right, y down, 100 units a picture's height."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (factor < 1) or lighter (factor > 1)."""
    if factor <= 1:
        return tuple(int(value * factor) for value in colour)
    return tuple(int(255 - (255 - value) / factor) for value in colour)


def along(start: Point, end: Point, share: float) -> Point:
    """The point at ``share`` of the way (0 to 1, or beyond)."""
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def bezier(*controls: Point, n: int = 14) -> np.ndarray:
    """(n, 2) points of the Bézier curve with these control points."""
    points = np.asarray(controls, dtype=np.float64)[None].repeat(n, axis=0)
    share = np.linspace(0, 1, n)[:, None, None]
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - share) + points[:, 1:] * share
    return points[:, 0]


@lru_cache(maxsize=8)
def _circle(n: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def oval(centre: Point, radii: Point, degrees: float = 0, n: int = 28) -> np.ndarray:
    """(n, 2) points of an ellipse turned clockwise."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (_circle(n) * radii) @ turn + centre


@dataclass(frozen=True)
class Frame:
    """A coordinate system within another: a place, an axis, a size.

    Instruments are drawn in their own, with x along their axis.
    """

    origin: Point
    degrees: float = 0.0
    scale: float = 1.0

    def __call__(self, points: Sequence[Point] | np.ndarray) -> np.ndarray:
        """Points of this frame in the outer coordinates."""
        angle = np.radians(self.degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return (np.asarray(points, dtype=np.float64) * self.scale) @ turn + self.origin

    def at(self, x: float, y: float) -> Point:
        """One point."""
        return tuple(self([(x, y)])[0])


class Canvas:
    """Shapes in figure coordinates on an image.

    Args:
        image: RGB.
        frame: figure coordinates to pixels.
    """

    def __init__(self, image: Image.Image, frame: Frame):
        self.frame = frame
        self.draw = ImageDraw.Draw(image)

    def shape(self, points: Sequence[Point] | np.ndarray, fill: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon(self.frame(points).ravel().tolist(), fill=fill)

    def oval(self, centre: Point, radii: Point, fill: Colour, degrees: float = 0) -> None:
        """A filled ellipse."""
        self.shape(oval(centre, radii, degrees), fill)

    def ring(self, centre: Point, radii: Point, width: float, fill: Colour) -> None:
        """An ellipse's outline."""
        rims = []
        for side in (0.5, -0.5):
            rim = oval(centre, (radii[0] + side * width, radii[1] + side * width), n=36)
            rims.append(np.concatenate([rim, rim[:1]]))
        self.shape(np.concatenate([rims[0], rims[1][::-1]]), fill)

    def line(self, points: Sequence[Point] | np.ndarray, width: float, fill: Colour) -> None:
        """A line through points, its ends round when it is thick."""
        path = np.asarray(points, dtype=np.float64)
        pixels = width * self.frame.scale
        if len(path) > 2 and pixels > 1.5:  # many times faster than Pillow's own curved joints
            self.shape(_outline(path, [width]), fill)
        else:
            placed = self.frame(path).ravel().tolist()
            self.draw.line(placed, fill=fill, width=max(1, round(pixels)))
        if pixels > 6:
            radius = pixels / 2
            for x, y in self.frame(path[[0, -1]]):
                self.draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)

    def tube(
        self, points: Sequence[Point] | np.ndarray, widths: Sequence[float], fill: Colour
    ) -> None:
        """A pipe whose width changes evenly over ``widths``, lit from one side."""
        path = np.asarray(points, dtype=np.float64)
        outline = _outline(path, widths)
        self.shape(outline, fill)
        glint = _outline(path, [0.3 * width for width in widths])
        across = _normals(path).mean(axis=0) * np.mean(widths) * -0.18
        self.shape(glint + across, shade(fill, 1.7))


def _normals(path: np.ndarray) -> np.ndarray:
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True) + 1e-12
    return np.column_stack([-tangents[:, 1], tangents[:, 0]])


def _outline(path: np.ndarray, widths: Sequence[float]) -> np.ndarray:
    places = np.linspace(0, 1, len(path))
    half = np.interp(places, np.linspace(0, 1, len(widths)), widths)[:, None] / 2
    across = _normals(path) * half
    return np.concatenate([path + across, (path - across)[::-1]])
