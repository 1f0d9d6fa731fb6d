"""Pictures that keep their shape, or are pressed into squares as by the authors' scripts."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from test_media import ffmpeg, write_clip

from pipeline.train import seen_aspect
from solos.commands import recording
from solos.config.data import Extract
from solos.config.rows import Row
from solos.media.pictures import extract_crops
from solos.models.weights import build_network, save_network
from solos.preparation import recordings
from solos.separation.separator import load_separator
from solos.storage.pictures import read_frames

SETTINGS = Extract(short_side=32, jpeg_quality=2)


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Path:
    """160 by 64 pixels, a white stripe at either end."""
    path = tmp_path_factory.mktemp("wide") / "wide.mp4"
    stripes = "drawbox=c=white:t=fill:w=32,drawbox=c=white:t=fill:x=128:w=32"
    picture = f"color=black:s=160x64:r=8:d=1,{stripes}"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", path)
    return path


@pytest.mark.parametrize(("aspect", "width", "stripe"), [("squash", 32, 6), ("keep", 80, 16)])
def test_a_wide_picture_squashed_or_kept(wide, tmp_path, aspect, width, stripe):
    """Squashed, all of it is there: a fifth of the width is white at either end."""
    archive = tmp_path / "a.zip"
    extract_crops(wide, [(0, 0, 160, 64)], [archive], SETTINGS, aspect)
    picture = read_frames(archive, [0])[0]
    assert picture.shape == (32, width, 3)
    bright = (picture[16, :, 0] > 128).tolist()
    assert abs(bright[: width // 2].count(True) - stripe) <= 1
    assert abs(bright[width // 2 :].count(True) - stripe) <= 1


@pytest.mark.parametrize(("aspect", "size"), [("squash", (32, 32)), ("keep", (48, 32))])
def test_a_recordings_pictures(tmp_path, aspect, size):
    source = write_clip(tmp_path / "clip.mp4", seconds=1)
    found = recordings.extract(tmp_path, source=source, settings=SETTINGS, aspect=aspect)
    assert (found["width"], found["height"]) == size


@pytest.mark.parametrize(("aspect", "width"), [("squash", 32), ("keep", 80)])
def test_separate_shows_a_network_what_it_was_trained_on(wide, tmp_path, aspect, width):
    soundfile.write(tmp_path / "sound.wav", np.zeros(11025), 11025)
    job = SimpleNamespace(
        separator=SimpleNamespace(needs_frames=True, aspect=aspect),
        options=SimpleNamespace(audio=None, video=False, boxes=None, map=False),
        sources=[SimpleNamespace(players=[1])],
        pictures=SETTINGS,
    )
    found = recording._with_pictures(wide, tmp_path / "sound.wav", "", tmp_path, job)
    assert read_frames(found.archives[0], [0]).shape[1:3] == (32, width)


def test_the_aspect_is_noted_with_an_exported_network(params, sop_recipe, tmp_path):
    about = {"network": "sop", "recipe": sop_recipe.model_dump()}
    for aspect in ("squash", "keep"):
        save_network(tmp_path, build_network(sop_recipe), about | {"aspect": aspect})
        assert load_separator(tmp_path).aspect == aspect
    save_network(tmp_path, build_network(sop_recipe), about)
    assert load_separator(tmp_path).aspect == "keep"  # as before it was noted


def test_a_row_notes_what_its_network_was_trained_on(params):
    sets = {
        name: data.model_copy(update={"aspect": "squash"}) for name, data in params.dataset.items()
    }
    sets["music"] = params.dataset["music"]
    squashed = params.model_copy(update={"dataset": sets})
    trained, taken = (Row(network="sop", init="music", epochs=n) for n in (5, 0))
    assert (seen_aspect(squashed, trained), seen_aspect(squashed, taken)) == ("squash", "keep")
    del sets["music"]  # the released files
    assert seen_aspect(squashed, taken) == "keep"
