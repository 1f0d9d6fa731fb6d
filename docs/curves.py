"""Draw ``docs/training.svg`` from a run's logs: ``python docs/curves.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

LOGS = Path("data/training")
OUTPUT = Path("docs/training.svg")
NAMES = {"pretrained": "on MUSIC", "sop": "on Solos (sop)", "sop_ft": "fine-tuned (sop_ft)"}


def curve(row: str, name: str) -> pd.Series:
    """A metric by epoch, as dvclive logged it."""
    table = pd.read_csv(LOGS / row / "plots" / "metrics" / f"{name}.tsv", sep="\t")
    return table.set_index("step")[name]


def draw_sop(axes: Axes) -> None:
    for row, label in NAMES.items():
        curve(row, "val_loss").plot(ax=axes, marker=".", label=label)
    axes.set(title="Sound of Pixels", xlabel="epoch", ylabel="validation loss (weighted BCE)")
    axes.legend()


def draw_mhunet(axes: Axes) -> None:
    for name, label in (("val_loss", "validation"), ("train_loss", "training")):
        curve("mhunet", name).plot(ax=axes, marker=".", label=label)
    axes.set(title="Multi-Head U-Net", xlabel="epoch", ylabel="squared error of the masks")
    axes.legend(loc="upper right")
    level = axes.twinx()
    curve("mhunet", "max_src").plot(ax=level, drawstyle="steps-post", color="grey", alpha=0.6)
    level.set(ylabel="curriculum: most sources in a mix", ylim=(1.5, 7.5))


if __name__ == "__main__":
    plt.rcParams["svg.hashsalt"] = "solos"  # equal curves, equal bytes
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    draw_sop(left)
    draw_mhunet(right)
    figure.savefig(OUTPUT, metadata={"Date": None})
