"""All of URMP in imitation: the true names, short audio; from a folder and from its archive."""

import hashlib
import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from test_urmp import write_piece, write_video

from pipeline import archive as unpacking
from pipeline import urmp as stage
from solos.config.data import Extract, Urmp
from solos.config.params import Parallel
from solos.datasets.urmp import read_pieces
from solos.errors import UserError
from solos.preparation.unpack import unpack
from solos.storage.pictures import read_frames
from solos.storage.tables import read_table

NAMES = [
    "01_Jupiter_vn_vc",
    "02_Sonata_vn_vn",
    "03_Dance_fl_cl",
    "04_Allegro_fl_fl",
    "05_Entertainer_tpt_tpt",
    "06_Entertainer_sax_sax",
    "07_GString_tpt_tbn",
    "08_Spring_fl_vn",
    "09_Jesus_tpt_vn",
    "10_March_tpt_sax",
    "11_Maria_ob_vc",
    "12_Spring_vn_vn_vc",
    "13_Hark_vn_vn_va",
    "14_Waltz_fl_fl_cl",
    "15_Surprise_tpt_tpt_tbn",
    "16_Surprise_tpt_tpt_sax",
    "17_Nocturne_vn_fl_cl",
    "18_Nocturne_vn_fl_tpt",
    "19_Pavane_cl_vn_vc",
    "20_Pavane_tpt_vn_vc",
    "21_Rejouissance_cl_tbn_tba",
    "22_Rejouissance_sax_tbn_tba",
    "23_Rejouissance_cl_sax_tba",
    "24_Pirates_vn_vn_va_vc",
    "25_Pirates_vn_vn_va_sax",
    "26_King_vn_vn_va_vc",
    "27_King_vn_vn_va_sax",
    "28_Fugue_fl_ob_cl_bn",
    "29_Fugue_fl_fl_ob_cl",
    "30_Fugue_fl_fl_ob_sax",
    "31_Slavonic_tpt_tpt_hn_tbn",
    "32_Fugue_vn_vn_va_vc",
    "33_Elise_tpt_tpt_hn_tbn",
    "34_Fugue_tpt_tpt_hn_tbn",
    "35_Rondeau_vn_vn_va_db",
    "36_Rondeau_vn_vn_va_vc",
    "37_Rondeau_fl_vn_va_cl",
    "38_Jerusalem_vn_vn_va_vc_db",
    "39_Jerusalem_vn_vn_va_sax_db",
    "40_Miserere_fl_fl_ob_cl_bn",
    "41_Miserere_fl_fl_ob_sax_bn",
    "42_Arioso_tpt_tpt_hn_tbn_tba",
    "43_Chorale_tpt_tpt_hn_tbn_tba",
    "44_K515_vn_vn_va_va_vc",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """The folder: 16-bit audio of one odd piece in three, two videos, scores nobody asks for."""
    root = tmp_path_factory.mktemp("corpus") / "Dataset"
    for number, name in enumerate(NAMES):
        slip = {3: "tpt"} if name == "15_Surprise_tpt_tpt_tbn" else None
        subtype = "PCM_16" if number % 3 else "PCM_24"
        folder = write_piece(root, name, codes=slip, subtype=subtype)
        (folder / f"Sco_{name}.pdf").write_bytes(b"%PDF")
        (folder / f"Notes_1_{name}.txt").write_text("0.1 440.0 0.5")
    for name in ("01_Jupiter_vn_vc", "44_K515_vn_vn_va_va_vc"):
        write_video(root / name, n=len(name.split("_")) - 2)
    (root / "Supplementary_Files").mkdir()
    (root / "Supplementary_Files" / "readme.txt").write_text("about")
    return root


@pytest.fixture(scope="module")
def archive(corpus, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "Dataset.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as stream:
        stream.add(corpus, "Dataset")
    return path


@pytest.fixture
def run_stage(params, tmp_path, monkeypatch):
    """Runs the stage over a path; returns its tables."""
    monkeypatch.chdir(tmp_path)
    Path("crops.csv").write_text("piece,part,x,y,width,height\n01_Jupiter_vn_vc,1,64,0,64,64\n")

    def run(path: Path, sha256: str | None = None) -> tuple[list[dict], list[dict]]:
        update = {
            "parallel": Parallel(backend="threading", jobs=2),
            "extract": Extract(short_side=32, jpeg_quality=2),
            "urmp": Urmp(path=str(path), sha256=sha256, crops="crops.csv", aspect="keep"),
        }
        stage.main(params.model_copy(update=update))
        return tuple(read_table(stage.OUTPUT / f"{n}.csv", "") for n in ("pieces", "parts"))

    return run


def check(pieces: list[dict], parts: list[dict]) -> None:
    """44 pieces, 149 parts, 11, 12, 14 and 7 of two to five players, one trombone in piece 15."""
    assert [row["piece"] for row in pieces] == NAMES
    assert {row["status"] for row in pieces} == {"ok"}
    assert len(parts) == 149
    assert Counter(row["n_parts"] for row in pieces) == {"2": 11, "3": 12, "4": 14, "5": 7}
    surprise = [row["instrument"] for row in parts if row["piece"].startswith("15_")]
    assert surprise == ["Trumpet", "Trumpet", "Trombone"]
    assert Counter(row["video"] for row in pieces) == {"yes": 2, "no": 42}


def test_from_the_folder_and_from_the_archive_alike(run_stage, corpus, archive, monkeypatch):
    from_folder = run_stage(corpus)
    check(*from_folder)
    wave = (stage.OUTPUT / "44_K515_vn_vn_va_va_vc" / "5.wav").read_bytes()
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert run_stage(archive, checksum) == from_folder
    assert (stage.OUTPUT / "44_K515_vn_vn_va_va_vc" / "5.wav").read_bytes() == wave
    assert (stage.OUTPUT / "crops.jpg").stat().st_size > 1000
    kept = {path.name.split("_")[0] for path in Path(".work/unpacked").rglob("*_*.*")}
    assert kept == {"AuMix", "AuSep", "Vid"}

    def never(*_, **__):
        raise AssertionError("unpacked again")

    monkeypatch.setattr(unpacking, "unpack", never)
    run_stage(archive, checksum)


def test_the_parent_of_the_folder_will_do(corpus):
    assert [piece.name for piece in read_pieces(corpus.parent)] == NAMES


def test_a_box_of_the_table_is_where_it_says(run_stage, corpus):
    """The first player of piece 1 is looked for on the right, where it is brighter."""
    run_stage(corpus)
    folder = stage.OUTPUT / "01_Jupiter_vn_vc"
    left, right = (read_frames(folder / f"{k}.zip", [0]).mean() for k in (1, 2))
    assert left == pytest.approx(right, abs=2)
    Path("crops.csv").write_text("piece,part,x,y,width,height\n01_Jupiter_vn_vc,1,90,0,64,64\n")
    with pytest.raises(UserError, match="part 1 of 01_Jupiter_vn_vc reaches out of its 128x64"):
        run_stage(corpus)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, 4 if kind == tarfile.REGTYPE else 0
    return info


def hostile(path: Path, bad: tarfile.TarInfo) -> Path:
    """An archive with a good member before and after the bad one."""
    with tarfile.open(path, "w:gz") as archive:
        for info in (member("01_A_vn_vc/AuMix_01_A.wav"), bad, member("01_A_vn_vc/Vid_01.mp4")):
            archive.addfile(info, io.BytesIO(b"RIFF") if info.size else None)
    return path


WAV = "01_A_vn_vc/AuSep_1_vn_01_A.wav"


@pytest.mark.parametrize(
    "bad",
    [
        member(f"/tmp/{WAV}"),
        member(f"../{WAV}"),
        member(f"Dataset/../../{WAV}"),
        member("/etc/other"),
        member(WAV, tarfile.SYMTYPE, "/etc/passwd"),
        member(WAV, tarfile.LNKTYPE, "01_A_vn_vc/AuMix_01_A.wav"),
        member("link", tarfile.SYMTYPE, "elsewhere"),
        member(WAV, tarfile.CHRTYPE),
        member(WAV, tarfile.FIFOTYPE),
        member("other/01_A_vn_vc/AuMix_01_A.wav"),  # once more
    ],
    ids=lambda info: f"{info.name}-{info.type.decode()}",
)
def test_a_hostile_archive_is_refused_whole(bad, run_stage, tmp_path):
    with pytest.raises(UserError, match="refused"):
        run_stage(hostile(tmp_path / "bad.tar.gz", bad))
    assert not [
        *Path(".work/unpacked/urmp").glob("[!.]*"),
        *Path(".work/unpacked/urmp").glob(".half/*"),
    ]
    assert not stage.OUTPUT.exists()


def test_what_is_no_archive_or_not_all_of_one(run_stage, archive, tmp_path):
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(archive.read_bytes()[:-50_000])
    with pytest.raises(UserError, match="cut off"):
        run_stage(damaged)
    damaged.write_text("<html>")
    with pytest.raises(UserError, match="no tar archive"):
        run_stage(damaged)
    with pytest.raises(UserError, match=r"SHA-256 is .*fetch it again"):
        run_stage(archive, "0" * 64)
    assert not [
        *Path(".work/unpacked/urmp").glob("[!.]*"),
        *Path(".work/unpacked/urmp").glob(".half/*"),
    ]


def test_an_archive_of_something_else(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as stream:
        stream.addfile(member("notes/readme.txt"), io.BytesIO(b"text"))
    with (
        (tmp_path / "a.tar").open("rb") as stream,
        pytest.raises(UserError, match="no folder like 01_Jupiter"),
    ):
        unpack(stream, "a.tar", tmp_path / "out", None)


def test_memory_is_that_of_a_block(corpus, archive, tmp_path):
    """An archive is streamed: nothing holds a whole file of it."""
    largest = max(path.stat().st_size for path in corpus.rglob("*.wav"))
    sizes = []

    class Watched(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            sizes.append(size)
            return super().read(size)

    assert unpack(Watched(archive.read_bytes()), "a", tmp_path / "out", None) == 149 + 44 + 2
    assert 0 < max(sizes) <= 1 << 20 and min(sizes) >= 0
    assert largest > 5 * 10**5
