import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pipeline import spectrograms as stage
from solos.config.data import Spectrograms
from solos.config.params import Parallel
from solos.datasets.index import Recording, load_spans, write_index
from solos.errors import UserError
from solos.preparation import spectrograms, splits
from solos.signal.fourier import istft, stft
from solos.storage.tables import read_table, write_table


def write_noise(path: Path, n_samples: int, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """White noise as a wav of a recording; returns the samples as they are read back."""
    wave = level * np.random.default_rng(seed).standard_normal(n_samples)
    soundfile.write(path, wave, 11025, subtype="PCM_16")
    return soundfile.read(path, dtype="float32")[0]


# Around the block length of 8: one block, an edge exactly between blocks, a last block of 1 frame.
@pytest.mark.parametrize("extra", [0, 1, 255, 256, 7 * 256, 8 * 256, 1000])
def test_blocks_give_the_whole_stft(extra, tmp_path, monkeypatch):
    monkeypatch.setattr(spectrograms, "BLOCK", 8)
    wave = write_noise(tmp_path / "a.wav", 65536 + extra)
    n_frames = spectrograms.store(tmp_path / "a.wav", tmp_path)
    stored = np.load(tmp_path / "spec.npy", mmap_mode="r")
    whole = torch.view_as_real(stft(torch.from_numpy(wave)).T.contiguous()).numpy()
    assert n_frames == len(wave) // 256 + 1
    assert stored.shape == (n_frames, 512, 2) and stored.dtype == np.float16
    np.testing.assert_array_equal(stored, whole.astype(np.float16))


def test_half_precision_costs_little(tmp_path):
    for level in (0.3, 1e-3):
        wave = level * np.random.default_rng(1).standard_normal(200_000).astype(np.float32)
        soundfile.write(tmp_path / "a.wav", wave, 11025, subtype="FLOAT")
        spectrograms.store(tmp_path / "a.wav", tmp_path)
        spec = torch.from_numpy(np.load(tmp_path / "spec.npy").astype(np.float32))
        back = istft(torch.view_as_complex(spec).T, len(wave)).numpy()
        snr = 10 * np.log10(np.sum(wave**2) / np.sum((wave - back) ** 2))
        assert 78 < snr < 82


def test_memory_does_not_grow_with_length(tmp_path, monkeypatch):
    monkeypatch.setattr(spectrograms, "BLOCK", 256)
    used = []
    for n_samples in (300_000, 1_200_000):
        write_noise(tmp_path / "a.wav", n_samples)
        tracemalloc.start()
        spectrograms.store(tmp_path / "a.wav", tmp_path)
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert used[1] < 1.2 * used[0]


def test_other_audio_than_extracted_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((70_000, 2)), 44100)
    with pytest.raises(ValueError, match=r"2 channel.* at 44100 Hz"):
        spectrograms.store(tmp_path / "a.wav", tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(65534), 11025)
    with pytest.raises(ValueError, match="65534 samples"):
        spectrograms.store(tmp_path / "a.wav", tmp_path)


# A frame at 25 fps is 0.04 s, an STFT frame 256/11025 s: frame f begins at STFT frame 1.72265625 f.
@pytest.mark.parametrize(
    ("spans", "n_frames", "expected"),
    [
        ([[0, 200]], 1000, ((0, 345),)),  # 344.53: the last centre before 8 s is 344
        ([[256, 512]], 1000, ((441, 882),)),  # whole numbers: 256 · 441/256
        ([[763, 1450]], 1673, ((1315, 1673),)),  # 1314.4 rounded up; clipped to the recording
        ([[0, 149]], 1000, ((0, 257),)),  # 256.7: just a segment
        ([[0, 148]], 1000, ()),  # 254.95: 255 frames are one too few
        ([[0, 200], [763, 1450]], 1400, ((0, 345),)),  # 85 frames are left of the second
        ([[2000, 3000]], 1000, ()),  # past the end
        ([[400, 500], [0, 200], [200, 300]], 1000, ((0, 517),)),  # sorted, adjoining ones joined
        ([], 1000, ()),
    ],
)
def test_spans_in_stft_frames(spans, n_frames, expected):
    assert spectrograms.stft_spans([tuple(span) for span in spans], n_frames) == expected


@pytest.mark.parametrize(
    ("count", "fraction", "n_train"),
    [
        *((5, 0.2, 4), (7, 0.2, 5), (9, 0.2, 7), (50, 0.2, 40), (10, 0.3, 7)),
        *((2, 0.2, 1), (1, 0.2, 1), (2, 0.9, 1), (3, 0.01, 2)),
    ],
)
def test_the_first_of_the_sorted_ids_are_for_training(count, fraction, n_train):
    names = [f"r{n:02}" for n in range(count)]
    parts = splits.split(names[::-1], fraction)
    assert [name for name in names if parts[name] == "train"] == names[:n_train]
    assert sorted(parts) == names and set(parts.values()) <= {"train", "val"}


def test_instruments_with_too_few():
    rows = [{"instrument": "Tuba", "status": "ok"}] * 2
    rows += [{"instrument": "Viola", "status": "silent"}, {"instrument": "Viola", "status": "ok"}]
    rows += [{"instrument": "Horn", "status": "private"}]
    assert splits.too_few(rows, 2) == [
        "  Horn: 0 usable of 1, 2 needed",
        "  Viola: 1 usable of 2, 2 needed",
    ]


@pytest.fixture
def run_stage(params, tmp_path, monkeypatch):
    """Runs the stage over what the test put into data/extracted/solos; returns its table by id."""
    monkeypatch.chdir(tmp_path)
    Path("data/extracted/solos").mkdir(parents=True)
    settings = {"spectrograms": Spectrograms(val_fraction=0.2, min_recordings=2)}
    settings["parallel"] = Parallel(backend="threading", jobs=1)
    solos = params.dataset["solos"].model_copy(update={"folder": "set"})
    settings["dataset"] = params.dataset | {"solos": solos}

    def run():
        stage.main(params.model_copy(update=settings), "solos")
        rows = read_table(Path("data/spectrograms/solos/recordings.csv"), "")
        return {row["id"]: row for row in rows}

    return run


def put(names: dict[str, tuple[str, str, tuple]], n_samples: int = 100_000) -> None:
    """Extracted recordings and their index: id -> (instrument, status, spans)."""
    extracted = Path("data/extracted/solos")
    lines = []
    for seed, (name, (instrument, status, _)) in enumerate(names.items()):
        line = {"id": name, "instrument": instrument, "status": status, "reason": "so"}
        lines.append(line | {"sha256": f"{name} {n_samples}"})
        if status == "ok":
            write_noise(extracted / f"{name}.wav", n_samples, seed=seed)
    columns = ("id", "instrument", "status", "reason", "sha256")
    write_table(extracted / "status.csv", columns, lines)
    index = [Recording(name, row[0], "u", row[2]) for name, row in names.items()]
    write_index(Path("set/index.csv"), index)


def test_the_stage_accounts_for_every_recording(run_stage, monkeypatch):
    whole = ((0, 9999),)
    put(
        {
            "-a": ("Tuba", "ok", whole),
            "b": ("Tuba", "ok", ((0, 30), (60, 210))),
            "c": ("Tuba", "silent", whole),
            "d": ("Tuba", "ok", ()),
            "e": ("Tuba", "ok", ((0, 100),)),
        }
    )
    rows = run_stage()
    assert {key: row["status"] for key, row in rows.items()} == {
        **{"-a": "ok", "b": "ok", "c": "silent"},
        **{"d": "no_spans", "e": "short_spans"},
    }
    assert rows["c"]["reason"] == "so"
    assert load_spans(rows["-a"]["spans"]) == ((0, 391),)
    assert load_spans(rows["b"]["spans"]) == ((104, 362),)
    assert sorted(row["split"] for row in rows.values()) == ["", "", "", "train", "val"]
    (coverage,) = read_table(Path("data/coverage/solos.csv"), "")
    assert coverage == {
        **{"instrument": "Tuba", "listed": "5", "usable": "2", "minutes": "0.3"},  # 391 + 258 hops
        "not_usable": "1 no_spans, 1 short_spans, 1 silent",
    }
    files = sorted(path.name for path in Path("data/spectrograms/solos").iterdir())
    assert files == ["-a.npy", "b.npy", "recordings.csv"]

    def never(*_):
        raise AssertionError("transformed again")

    monkeypatch.setattr(spectrograms, "store", never)
    assert run_stage() == rows


def test_a_recording_below_a_segment_is_too_short(run_stage):
    put({"a": ("Tuba", "ok", ((0, 100),)), "b": ("Tuba", "ok", ((0, 100),))}, n_samples=60_000)
    with pytest.raises(UserError, match="Tuba: 0 usable of 2, 2 needed"):
        run_stage()
    rows = read_table(Path("data/spectrograms/solos/recordings.csv"), "")
    assert [row["status"] for row in rows] == ["too_short", "too_short"]
