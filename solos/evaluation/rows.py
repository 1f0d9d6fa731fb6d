"""The rows of Table II: their order, and what they are called."""

ROWS = {
    "mixture": "unprocessed mixture",
    "sop_pretrained": "SoP (trained on MUSIC)",
    "sop": "SoP-Solos",
    "sop_ft": "SoP-ft",
    "mhunet": "MHU-Net",
    "informed": "U-Net told the instruments",
    "oracle_binary": "ideal binary mask",
    "oracle_ratio": "ideal ratio mask",
}
"""The table's rows in order, and what they are called; others of a run follow under their name."""
