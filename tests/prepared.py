"""A small prepared test set: what the stage ``urmp`` writes, with noise in place of music."""

import numpy as np
import soundfile

from solos import SAMPLE_RATE, SEGMENT

PIECES = """\
piece,n_parts,n_samples,n_segments,video,status,reason
01_A_vn_fl_vn,3,{samples},2,yes,ok,
02_B_fl_cl,2,{segment},1,no,ok,
03_C_tpt_tba,2,,,no,broken,no mixture
04_D_vn_vn,2,{segment},1,no,ok,
"""
PARTS = """\
piece,part,instrument,wav,frames
01_A_vn_fl_vn,1,Violin,01_A_vn_fl_vn/1.wav,01_A_vn_fl_vn/1.zip
01_A_vn_fl_vn,2,Flute,01_A_vn_fl_vn/2.wav,01_A_vn_fl_vn/2.zip
01_A_vn_fl_vn,3,Violin,01_A_vn_fl_vn/3.wav,01_A_vn_fl_vn/3.zip
02_B_fl_cl,1,Flute,02_B_fl_cl/1.wav,
02_B_fl_cl,2,Clarinet,02_B_fl_cl/2.wav,
04_D_vn_vn,1,Violin,04_D_vn_vn/1.wav,
04_D_vn_vn,2,Violin,04_D_vn_vn/2.wav,
"""


def write_piece(folder, waves):
    folder.mkdir()
    for part, wave in enumerate(waves, start=1):
        soundfile.write(folder / f"{part}.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(folder / "mix.wav", waves.sum(axis=0), SAMPLE_RATE, subtype="FLOAT")


def write_test_set(folder):
    """Noise in place of music; the flute of piece 1 rests in its second segment."""
    rng = np.random.default_rng(3)
    samples = 2 * SEGMENT + 1000
    (folder / "pieces.csv").write_text(PIECES.format(samples=samples, segment=SEGMENT))
    (folder / "parts.csv").write_text(PARTS)
    waves = rng.uniform(-0.1, 0.1, (3, samples)).astype(np.float32)
    waves[1, SEGMENT : 2 * SEGMENT] = 0
    write_piece(folder / "01_A_vn_fl_vn", waves)
    for piece in ("02_B_fl_cl", "04_D_vn_vn"):
        write_piece(folder / piece, rng.uniform(-0.1, 0.1, (2, SEGMENT)).astype(np.float32))
