"""Solos: audio-visual source separation of music (Montesinos, Slizovskaia and Haro, MMSP 2020).

The constants below are the paper's signal processing (section IV); everything else is a parameter.
"""

INSTRUMENTS = (
    "Bassoon",
    "Cello",
    "Clarinet",
    "DoubleBass",
    "Flute",
    "Horn",
    "Oboe",
    "Saxophone",
    "Trombone",
    "Trumpet",
    "Tuba",
    "Viola",
    "Violin",
)
"""The 13 instruments of Solos, alphabetically: the order of the Multi-Head U-Net's outputs."""

SAMPLE_RATE = 11025
"""Hz."""
N_FFT = 1022
"""Length of the STFT's window in samples: 512 frequency bins."""
HOP_LENGTH = 256
"""Samples between STFT frames."""
SEGMENT = 65535
"""Samples of a segment: 5.944 s, 256 STFT frames."""
SEGMENT_FRAMES = 256
"""STFT frames of a segment."""
FRAME_RATE = 8
"""Pictures a second kept of every video."""
SPAN_RATE = 25
"""Solos gives its time spans as frame numbers at this rate, whatever the video's own."""
