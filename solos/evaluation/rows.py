"""The rows of Table II: their order, and what they are called."""

ROWS = {
    "mixture": "unprocessed mixture",
    "sop_pretrained": "SoP (trained on MUSIC)",
    "sop": "SoP-Solos",
    "sop_ft": "SoP-ft",
    "mhunet": "MHU-Net",
    "oracle_binary": "ideal binary mask",
    "oracle_ratio": "ideal ratio mask",
}
"""The table's rows in order, and what they are called; others of a run follow."""
_OWN = {"informed": "U-Net told the instruments"}  # this project's, in the table where they are run


NOTES = {
    "informed": "this project's own, not of the paper: a small U-Net trained for SDR itself on the "
    "run's training set. It knows more than the others: Sound of Pixels knows the players from "
    "sight, the Multi-Head U-Net nothing but the sound, and it which instruments play, as the "
    "names of URMP's folders tell (what it does without is among the other choices)",
}
"""What is to be said of a row where it is shown."""


def name_of(row: str) -> str:
    """What a row is called; one that is not known here, by its own name."""
    return (ROWS | _OWN).get(row, row)
