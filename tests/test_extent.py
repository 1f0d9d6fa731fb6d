"""A file that ends before it says is remarked on; a whole one, or one out of a pipe, is not."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
from test_facts import half, noise
from test_media import SETTINGS, ffmpeg
from test_opening import FAST, burst, joined
from test_urmp import write_piece

from solos import SAMPLE_RATE
from solos.commands.scoring import score_folders
from solos.config.rows import Protocol
from solos.datasets.urmp import read_pieces
from solos.media.errors import MediaError
from solos.media.extent import _CHUNKED, Extent, extent
from solos.media.process import ffmpeg_path
from solos.media.sound import decode, hear
from solos.preparation import recordings
from solos.preparation.pieces import prepare_audio

NOISE = ("-f", "lavfi", "-i", "anoisesrc=d=6:a=0.3:r=44100:seed=7")
PICTURE = ("-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=6", *NOISE)
FRONT = ("-movflags", "+faststart")
PIECES = ("-movflags", "+frag_keyframe+empty_moov", "-g", 25)
SOUNDS = {
    "a.wav": (*NOISE, "-c:a", "pcm_s24le"),
    "adpcm.wav": (*NOISE, "-c:a", "adpcm_ima_wav"),
    "rf64.wav": (*NOISE, "-rf64", "always"),
    "a.w64": NOISE,
    "a.caf": NOISE,
    "alaw.caf": (*NOISE, "-c:a", "pcm_alaw"),
    "a.aiff": NOISE,
    "a.au": NOISE,
    "a.flac": NOISE,
    "a.wv": NOISE,
    "a.tta": NOISE,
    "a.mp3": NOISE,
    "vbr.mp3": (*NOISE, "-q:a", 2),
    "mono.mp3": (*NOISE, "-ar", 22050),
    "a.ogg": (*NOISE, "-c:a", "libvorbis"),
    "a.opus": (*NOISE, "-c:a", "libopus"),
    "flac.ogg": (*NOISE, "-c:a", "flac"),
    "a.m4a": (*NOISE, *FRONT),
    "a.mka": (*NOISE, "-c:a", "libvorbis"),
    "a.wma": NOISE,
}
FILMS = {
    "a.mp4": (*PICTURE, *FAST, *FRONT),
    "pieces.mp4": (*PICTURE, *FAST, *PIECES),
    "a.mkv": (*PICTURE, *FAST),
    "a.webm": (*PICTURE, "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"),
    "a.avi": (*PICTURE, "-c:v", "mjpeg", "-c:a", "pcm_s16le"),
    "mp3.avi": (*PICTURE, "-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "a.wmv": (*PICTURE, "-c:v", "wmv2", "-c:a", "wmav2"),
    "a.flv": (*PICTURE, "-c:v", "flv1", "-c:a", "libmp3lame"),
    "a.ogv": (*PICTURE, "-c:v", "libtheora", "-c:a", "libvorbis"),
}
KINDS = SOUNDS | FILMS
ROUGH = ("a.flv",)
"""What says how many seconds it has, and no more."""


def said(path: Path, folder: Path) -> list[str]:
    """What ``separate``, ``score`` and ``extract`` would say of a file."""
    aspect = "keep" if path.name in FILMS else None
    found = []
    for read in (
        lambda: decode(path, folder)[1],
        lambda: "; ".join(hear(path)[1]),
        lambda: recordings.extract(folder, source=path, settings=SETTINGS, aspect=aspect)["reason"],
    ):
        try:
            found.append(read())
        except MediaError as error:
            found.append(f"{error.status}: {error}")
    return found


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_part_is_not_taken_for_the_whole(name, share, tmp_path):
    if share > 0.5 and name in ROUGH:
        pytest.skip("it does not tell")
    ffmpeg(*KINDS[name], tmp_path / name)
    for remark in said(half(tmp_path / name, share), tmp_path):
        one = [" s promised", ": its file is cut off", "truncated: ends at"]
        assert any(words in remark for words in one), remark


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_is_whole(name, tmp_path):
    ffmpeg(*KINDS[name], tmp_path / name)
    assert said(tmp_path / name, tmp_path) == ["", "", ""]


FORMATS = {"aiff": None, "w64": None, "m4a": None, "mka": "matroska", "mkv": "matroska"}
FORMATS |= {"wma": "asf", "wmv": "asf", "ogv": "ogg", "mp4": "mp4"}
"""ffmpeg's names; None for what it can't write into a pipe, or can't read again."""
PIPED = [name for name in KINDS if FORMATS.get(name.rsplit(".", 1)[1], "as it is")]


@pytest.mark.parametrize("name", [name for name in PIPED if name not in ("rf64.wav", "a.mp4")])
def test_what_went_through_a_pipe_is_whole(name, tmp_path):
    kind = name.rsplit(".", 1)[1]
    codecs = [str(word) for word in KINDS[name]]
    command = [ffmpeg_path(), "-v", "error", *codecs, "-f", FORMATS.get(kind, kind), "-"]
    done = subprocess.run(command, check=True, capture_output=True)
    (tmp_path / name).write_bytes(done.stdout)
    assert said(tmp_path / name, tmp_path) == ["", "", ""]


FULL, MOST = b"\xff" * 8, b"\x7f" + b"\xff" * 7
STREAMED = {
    "all.wav": ("a.wav", {b"RIFF": (4, FULL[:4]), b"data": (4, FULL[:4])}),
    "most.aiff": ("a.aiff", {b"FORM": (4, MOST[:4]), b"SSND": (4, MOST[:4])}),
    "all.aiff": ("a.aiff", {b"FORM": (4, FULL[:4]), b"SSND": (4, FULL[:4])}),
    "none.caf": ("a.caf", {b"data": (4, bytes(8))}),
    "all.rf64.wav": ("rf64.wav", {b"ds64": (16, MOST[::-1])}),
    "none.avi": ("a.avi", {b"RIFF": (4, bytes(4)), b"movi": (-4, bytes(4))}),
}


@pytest.mark.parametrize("kind", STREAMED)
def test_sizes_that_nobody_filled_in_promise_nothing(kind, tmp_path):
    name, places = STREAMED[kind]
    ffmpeg(*KINDS[name], tmp_path / name)
    content = bytearray((tmp_path / name).read_bytes())
    for mark, (offset, size) in places.items():
        place = content.index(mark) + offset
        content[place : place + len(size)] = size
    (tmp_path / name).write_bytes(content)
    assert extent(tmp_path / name).open_ended
    assert said(tmp_path / name, tmp_path) == ["", "", ""]


@pytest.mark.parametrize("name", ["a.w64", "a.aiff"])
def test_what_cannot_be_read_after_a_pipe_is_said_to_be_that(name, tmp_path):
    command = [ffmpeg_path(), "-v", "error", *NOISE, "-f", name[2:], "-"]
    done = subprocess.run(command, check=True, capture_output=True)
    (tmp_path / name).write_bytes(done.stdout)
    with pytest.raises(MediaError, match="its sizes were never filled in"):
        hear(tmp_path / name)


def test_a_huge_sound_cut_in_half_is_none_out_of_a_pipe(tmp_path):
    """Of 3 GB, whose size has the highest bit of its field."""
    soundfile.write(tmp_path / "a.wav", noise(), 11025, subtype="PCM_16")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = (3 << 30).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    assert extent(tmp_path / "a.wav").share > 40_000


def test_zeros_are_no_chunks(tmp_path):
    """Half a gigabyte of them, as of a file that was made room for: nobody reads all that."""
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\x20WAVE")
    os.truncate(tmp_path / "a.wav", 1 << 29)
    reads = []
    stream = SimpleNamespace(
        seek=lambda place: place, read=lambda n: reads.append(n) or bytes(n), fileno=None
    )
    assert list(_CHUNKED[b"RIFF"].pieces(stream)) == [] and len(reads) == 1
    assert extent(tmp_path / "a.wav") == Extent()


def with_rubbish(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"TAG" + bytes(125) + b"LIST\xf0\xff\xff\x0fmovi" + b"mdat" * 9)


@pytest.mark.parametrize("name", ["a.wav", "a.caf", "a.w64", "a.mp3", "a.ogg", "a.m4a", "a.mka"])
def test_what_follows_the_sound_costs_no_remark(name, tmp_path):
    ffmpeg(*KINDS[name], tmp_path / name)
    with_rubbish(tmp_path / name)
    assert extent(tmp_path / name).why == ""


def test_an_ogg_without_an_end_page(tmp_path):
    """Cut between two pages, as a recorded broadcast is."""
    ffmpeg(*SOUNDS["a.ogg"], tmp_path / "a.ogg")
    content = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(content[: content.rindex(b"OggS")])
    (remark,) = hear(tmp_path / "a.ogg")[1]
    assert remark.endswith("its file seems to be cut off, no page is marked as its last")


def late(name: str) -> Callable[[Path], Path]:
    """Pictures of 6 s, sound from 2 s on."""

    def make(folder: Path) -> Path:
        codecs = FILMS[name][len(PICTURE) :]
        ffmpeg(
            *PICTURE[:4], "-itsoffset", 2, "-f", "lavfi", "-i", burst(1, 4), *codecs, folder / name
        )
        return folder / name

    return make


def early(name: str) -> Callable[[Path], Path]:
    """Pictures of 6 s, sound of 2 s."""

    def make(folder: Path) -> Path:
        codecs = FILMS[name][len(PICTURE) :]
        ffmpeg(*PICTURE[:4], "-f", "lavfi", "-i", burst(1, 2), *codecs, folder / name)
        return folder / name

    return make


ENDS = {"late": late, "early": early}


@pytest.mark.parametrize("name", sorted(set(FILMS) - {"pieces.mp4"}))
@pytest.mark.parametrize("when", ENDS)
def test_a_films_promise_is_not_its_sounds(when, name, tmp_path):
    """FFmpeg hands on the file's duration as each stream's: of ASF, and of AVI as its own."""
    path = ENDS[when](name)(tmp_path)
    remarks = " ".join(said(path, tmp_path))
    assert not any(words in remarks for words in ("promised", "cut off", "truncated")), remarks


def test_mp3s_one_after_another_hold_more_than_the_first_says(tmp_path):
    path = joined(tmp_path / "a.mp3", NOISE, NOISE)
    assert "cut off" not in decode(path, tmp_path)[1]


def test_sounds_that_libsndfile_wrote_are_whole(tmp_path):
    for name, kind in (("a.ogg", "VORBIS"), ("b.ogg", "OPUS"), ("a.mp3", "MPEG_LAYER_III")):
        soundfile.write(tmp_path / name, noise(3, rate=48000), 48000, subtype=kind)
        assert hear(tmp_path / name)[1] == []


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.m4a", "a.mp4"])
def test_a_second_file_behind_the_first_is_told_of(name, tmp_path):
    """What ``cat a.wav b.wav`` makes; of MP3s, and of films in fragments, all is heard."""
    first = tmp_path / name
    ffmpeg(*KINDS[name], first)
    size = first.stat().st_size
    first.write_bytes(first.read_bytes() * 2)
    why = f"another file is joined to it at byte {size}, and not heard"
    assert [why in line for line in said(first, tmp_path)] == [True] * 3


def test_fragments_with_their_headers_repeated_are_one_film(tmp_path):
    film = tmp_path / "a.mp4"
    ffmpeg(*FILMS["pieces.mp4"], film)
    film.write_bytes(film.read_bytes() * 2)
    assert extent(film) == Extent()
    assert len(hear(film)[0]) > 10 * SAMPLE_RATE  # so more than its first six seconds are heard


@pytest.mark.parametrize("name", ["a.w64", "a.ogg"])
def test_score_and_urmp_say_it(name, tmp_path, caplog):
    folder = write_piece(tmp_path / "urmp", "01_Jupiter_vn_vc")
    wav = folder / "AuSep_1_vn_01_Jupiter.wav"
    ffmpeg("-i", wav, *(["-c:a", "libvorbis"] if name == "a.ogg" else []), tmp_path / name)
    half(tmp_path / name).rename(wav)
    score_folders(tmp_path / "urmp", {"x": tmp_path / "urmp"}, Protocol())
    assert f"{wav.name} ends at " in caplog.text
    (piece,) = read_pieces(tmp_path / "urmp")
    assert "part 1 (Violin) ends at " in prepare_audio(piece, tmp_path)[1]


@pytest.mark.parametrize("name", ["a.mp3", "vbr.mp3", "a.flac", "a.ogg", "a.mkv"])
def test_nothing_but_our_own_lines_is_on_standard_error(name, tmp_path, capfd):
    """libmpg123 had its say there, of MP3s whose header doesn't fit."""
    ffmpeg(*KINDS[name], tmp_path / name)
    half(tmp_path / name)
    said(tmp_path / name, tmp_path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("head", [b"", b"\x01", b"\x00" * 8, b"\x42\x86", b"\x9fAB"])
def test_a_matroska_whose_header_is_damaged_is_no_error_of_the_machine(head, tmp_path):
    """Its numbers say nothing, or too little: no place before the file is sought."""
    path = tmp_path / "film.mkv"
    path.write_bytes(b"\x1aE\xdf\xa3" + head)
    assert extent(path) == Extent()


def test_chunks_without_end_are_not_looked_at_without_end(tmp_path, monkeypatch):
    path = tmp_path / "sound.wav"
    chunks = b"junk\0\0\0\0" * 50
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + chunks + b"data" + (2000).to_bytes(4, "little"))
    assert extent(path).why == "its file is cut off, 1999 bytes are missing"
    monkeypatch.setattr("solos.media.extent._MOST", 50)
    assert extent(path) == Extent()
