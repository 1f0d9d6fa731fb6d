"""Poses and drawings of the miniature."""

from itertools import combinations

import numpy as np
import pytest

from solos import INSTRUMENTS
from solos.synthesis.canvas import Frame, along, bezier, shade
from solos.synthesis.instruments import BY_NAME
from solos.synthesis.looks import HAIRCUTS, PATTERNS, beside, random_look
from solos.synthesis.motion import GRID, pose_at, poses
from solos.synthesis.scene import DRAWINGS, Player, size

NOTES = np.array([[0.4, 1.0, 60, 90], [1.4, 1.0, 67, 90], [3.0, 1.0, 64, 90]])


def _look(seed: int = 0):
    return random_look(np.random.default_rng(seed))


def test_geometry():
    np.testing.assert_allclose(Frame((10, 20), 90, 2).at(3, 0), (10, 26), atol=1e-12)
    assert along((0, 0), (4, 8), 0.25) == (1, 2)
    np.testing.assert_allclose(bezier((0, 0), (1, 2), (2, 0), n=3), [[0, 0], [1, 1], [2, 0]])
    assert shade((100, 200, 50), 0.5) == (50, 100, 25)
    assert shade((55, 155, 255), 2.0) == (155, 205, 255)


def test_every_instrument_has_a_drawing():
    assert set(DRAWINGS) == set(BY_NAME)
    assert set(INSTRUMENTS) < set(DRAWINGS)


def test_drawings_differ_pairwise():
    """The same person in the same room: at the size that networks see, only instruments differ."""
    pictures = {name: Player(name, _look(), 72).picture((6, 1, 2)) for name in DRAWINGS}
    for one, other in combinations(pictures, 2):
        difference = pictures[one].astype(int) - pictures[other]
        changed = (abs(difference).max(axis=2) > 40).mean()
        assert changed > 0.05, (one, other, changed)


@pytest.mark.parametrize("name", DRAWINGS)
def test_players_move_but_a_pose_is_always_the_same(name):
    player = Player(name, _look(3), 90)
    first, moved = player.picture((0, 0, 0)), player.picture((9, 2, 3))
    assert first.shape == (90, 120, 3)
    assert first.dtype == np.uint8
    assert (abs(first.astype(int) - moved).max(axis=2) > 30).mean() > 0.01
    np.testing.assert_array_equal(first, Player(name, _look(3), 90).picture((0, 0, 0)))


def test_pictures_are_four_by_three_and_even():
    assert size(180) == (240, 180)
    assert all(size(height)[0] % 2 == 0 for height in range(64, 200, 2))


def test_looks_vary():
    looks = [_look(seed) for seed in range(60)]
    assert {look.haircut for look in looks} == set(HAIRCUTS)
    assert {look.pattern for look in looks} == set(PATTERNS)
    assert len({look.wall for look in looks}) > 50


def test_players_of_a_piece_share_the_room_only():
    one, other = beside(_look(1), _look(2)), _look(2)
    assert (one.wall, one.pattern, one.tint) == (other.wall, other.pattern, other.tint)
    assert one.skin == _look(1).skin != other.skin


@pytest.mark.parametrize("name", BY_NAME)
def test_poses_lie_on_the_grid(name):
    moves = poses(BY_NAME[name], NOTES, 125, np.random.default_rng(0))
    assert moves.shape == (125, 3)
    assert (moves >= 0).all()
    assert (moves < GRID).all()
    assert len(np.unique(moves[:, 0])) > 1 or len(np.unique(moves[:, 1])) > 1


def test_the_bow_moves_one_way_through_a_note_and_rests_after():
    moves = poses(BY_NAME["Violin"], NOTES, 125, np.random.default_rng(0))[:, 0]
    stroke = np.diff(moves[11:34])  # inside the first note: 0.4 s to 1.4 s at 25 fps
    assert (stroke >= 0).all() or (stroke <= 0).all()
    assert abs(stroke.sum()) >= 2
    assert len(set(moves[61:74])) == 1  # the rest from 2.4 s to 3 s


def test_fingerings_follow_the_pitch():
    moves = poses(BY_NAME["Clarinet"], NOTES, 125, np.random.default_rng(0))[:, 0]
    assert len(set(moves[11:34])) == len(set(moves[36:74])) == 1
    assert moves[20] != moves[40]


def test_grid_spans_the_poses():
    assert pose_at((0, 0, 0)).main == 0
    assert pose_at(tuple(steps - 1 for steps in GRID)).sway == 1
