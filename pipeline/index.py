"""Stage ``index@music``: the published list of MUSIC's recordings becomes an index.

Writes ``data/index/music/index.csv``. (Solos' index is a file of the repository.)
"""

import logging
from pathlib import Path

from pipeline.common import WORK, run_stage
from solos.config.params import Params
from solos.datasets.index import write_index
from solos.datasets.music import read_list
from solos.errors import UserError
from solos.storage.web import fetch

log = logging.getLogger(__name__)


def main(params: Params, name: str) -> None:
    """Write the index of the data set ``name``."""
    source = params.index[name].source
    recordings = read_list(_local(source))
    output = Path("data/index") / name / "index.csv"
    write_index(output, recordings)
    log.info("%s: %d recordings", output, len(recordings))


def _local(source: str) -> Path:
    """The list as a file, fetched if ``source`` is an address."""
    if "://" not in source:
        return Path(source)
    path = WORK / "index" / source.rsplit("/", 1)[-1]
    try:
        fetch(source, path)
    except OSError as error:
        raise UserError(
            f"{source}: {error}\nGet MUSIC_solo_videos.json (repository roudimit/MUSIC_dataset) by "
            "other means and set index.music.source to its path"
        ) from error
    return path


if __name__ == "__main__":
    run_stage(main, ("music",))
