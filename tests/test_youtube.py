import json
import shutil
import threading
import time
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_media import write_clip
from yt_dlp.utils import DownloadError, GeoRestrictedError

from pipeline import download as stage
from solos.config.data import YtDlp
from solos.datasets.index import Recording, write_index
from solos.download import client, fetcher
from solos.download.fetcher import Fetcher
from solos.download.outcomes import Outcome, UnwantedError, classify
from solos.errors import UserError
from solos.storage.cache import Cache, item_name
from solos.storage.files import file_hash
from solos.storage.tables import read_table

# What yt-dlp passes on from YouTube, word for word (the apostrophes of some are typographic).
MESSAGES = [
    ("private", "Private video. Sign in if you've been granted access to this video"),
    ("private", "Video unavailable. This video is private"),
    ("removed", "Video unavailable. This video has been removed by the uploader"),
    (
        "removed",
        "Video unavailable. This video is no longer available due to a copyright claim by "
        "Sarah Ann Kennedy",
    ),
    (
        "removed",
        "This video has been removed for violating YouTube's policy on nudity or sexual content",
    ),
    (
        "terminated",
        "Video unavailable. This video is no longer available because the YouTube account "
        "associated with this video has been terminated.",
    ),
    (
        "terminated",
        "This video has been removed. The account associated with this video has been terminated "
        "due to multiple third-party notifications of copyright infringement.",
    ),
    (
        "geo",
        "Video unavailable. The uploader has not made this video available in your country",
    ),
    (
        "geo",
        "Video unavailable. This video contains content from SME, who has blocked it in your "
        "country on copyright grounds",
    ),
    (
        "age",
        "Sign in to confirm your age. This video may be inappropriate for some users. Use "
        "--cookies-from-browser or --cookies for the authentication.",
    ),
    (
        "members",
        "Join this channel to get access to members-only content like this video, and other "
        "exclusive perks.",
    ),
    (
        "members",
        "This video is available to this channel's members on level: Assistant (or any higher "
        "level). Join this channel to get access to members-only content and other exclusive "
        "perks.",
    ),
    ("unavailable", "Video unavailable"),
    ("unavailable", "Video unavailable. This video is not available"),
    ("unavailable", "This video is unavailable"),
    ("unavailable", "This video isn’t available anymore"),
    ("unavailable", "This live stream recording is not available."),
    ("unavailable", "This video requires payment to watch"),
    ("unavailable", "This video is DRM protected"),
    ("geo", "Unable to download webpage: HTTP Error 451: Unavailable For Legal Reasons"),
    (
        "terminated",
        "Video unavailable. This video is no longer available because the uploader has closed "
        "their YouTube account.",
    ),
    ("unavailable", "Unable to download webpage: HTTP Error 404: Not Found"),
    ("environment", "Unsupported URL: https://example.org/"),
    (
        "rate_limited",
        "Video unavailable. This content isn't available, try again later. Your account has been "
        "rate-limited by YouTube for up to an hour. It is recommended to use `-t sleep` to add a "
        "delay between video requests to avoid exceeding the rate limit.",
    ),
    ("rate_limited", "This content isn’t available, try again later."),
    (
        "blocked",
        "Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies for the "
        "authentication. See https://github.com/yt-dlp/yt-dlp/wiki/FAQ for how to pass cookies",
    ),
    ("blocked", "Sign in to confirm you're not a bot. This helps protect our community."),
    ("blocked", "All player responses are invalid. Your IP is likely being blocked by Youtube"),
    ("upcoming", "This live event will begin in 3 hours."),
    ("upcoming", "This live event will begin in a few moments."),
    ("upcoming", "Premieres in 41 minutes"),
    ("upcoming", "Premiere will begin shortly"),
    ("live", "This live event has ended."),
    ("environment", "unable to download video data: HTTP Error 403: Forbidden"),
    ("environment", "Unable to download API page: HTTP Error 429: Too Many Requests"),
    ("environment", "Requested format is not available. Use --list-formats for a list of formats"),
    ("environment", "The downloaded file is empty"),
    ("environment", "Unable to download webpage: The read operation timed out"),
    ("environment", "unable to write data: [Errno 28] No space left on device"),
    ("missing", "Unable to download webpage: [Errno 2] No such file or directory: '/a.mp4'"),
]


@pytest.mark.parametrize(("status", "message"), MESSAGES)
def test_messages_of_youtube(status, message):
    assert classify(f"ERROR: [youtube] l0GBOoS_Zv4: {message}") == status


def test_a_country_block_is_known_by_its_class_too():
    cause = GeoRestrictedError("Not for you")
    assert classify("Not for you", cause) == "geo"
    assert classify("Please try again later", cause) == "rate_limited"


@pytest.fixture
def settings(params):
    quick = {"retries": 0, "refusals": 3, "min_coverage": 0.5, "jobs": 1, "min_rate": 0.0}
    return params.download.model_copy(update=quick)


def recording(name: str, url: str = "https://www.youtube.com/watch?v=x") -> Recording:
    return Recording(name, "Tuba", url, ((0, 100),))


class Remembering:
    """A fetcher whose outcomes are kept under ``root``, as the stage keeps them."""

    def __init__(self, root: Path, settings):
        self.cache, self.settings, self.fetch = Cache(root), settings, Fetcher(settings)

    def __call__(self, recording: Recording) -> Outcome:
        make = partial(self.fetch, recording)
        name = self.folder(recording).name
        final = self.fetch.is_final
        return Outcome(**self.cache.make(name, make, lasting=final, in_place=True))

    def folder(self, recording: Recording) -> Path:
        """Where its file lies."""
        item = stage.to_item(recording, self.settings)
        return self.cache.root / item_name(item.name, item.key)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("film") / "film.mp4", seconds=1)


@pytest.fixture
def answers(monkeypatch, film):
    """Plays YouTube: what it answers each recording, and which ones were asked for."""

    class Answers(dict):
        def __init__(self):
            super().__init__()
            self.asked = []

        def __call__(self, url, folder, settings):
            name = folder.name.split(".")[0]
            self.asked.append(name)
            if name in self:
                raise DownloadError(f"ERROR: [youtube] {name}: {self[name]}")
            shutil.copyfile(film, folder / "media.mp4")
            return folder / "media.mp4"

    fake = Answers()
    monkeypatch.setattr(fetcher, "download", fake)
    return fake


def test_what_is_there_or_gone_is_not_asked_for_again(answers, film, settings, tmp_path):
    names = ("-good", "gone", "flaky", "blocked")
    answers |= {"gone": "Private video", "flaky": "timed out", "blocked": "you’re not a bot"}
    fetch = Remembering(tmp_path, settings)
    first = [fetch(recording(name)) for name in names]
    assert [outcome.status for outcome in first] == ["ok", "private", "environment", "blocked"]
    stored = fetch.folder(recording("-good")) / first[0].file
    assert stored.read_bytes() == film.read_bytes()
    answers.clear()
    second = [Remembering(tmp_path, settings)(recording(name)) for name in names]
    assert answers.asked == [*names, "flaky", "blocked"]
    assert [outcome.status for outcome in second] == ["ok", "private", "ok", "ok"]
    assert [outcome.attempts for outcome in second] == [1, 1, 2, 2]
    insisting = settings.model_copy(update={"retry_dead": True})
    third = [Remembering(tmp_path, insisting)(recording(name)) for name in names]
    assert answers.asked[6:] == ["gone"]
    assert [outcome.status for outcome in third] == ["ok"] * 4


def test_a_vanished_file_and_another_url_are_fetched(answers, settings, tmp_path):
    fetch = Remembering(tmp_path, settings)
    first = fetch(recording("a"))
    (fetch.folder(recording("a")) / first.file).unlink()
    Remembering(tmp_path, settings)(recording("a"))
    Remembering(tmp_path, settings)(recording("a", url="https://www.youtube.com/watch?v=y"))
    assert answers.asked == ["a", "a", "a"]


def test_after_refusals_in_a_row_the_rest_is_left_pending(answers, settings, tmp_path):
    limit, bot = "try again later", "Sign in to confirm you’re not a bot"
    answers |= {"1": limit, "2": "HTTP Error 429: Too Many Requests", "4": bot}
    answers |= {"5": limit, "6": "HTTP Error 429"}
    fetch = Remembering(tmp_path, settings)
    statuses = [fetch(recording(str(n))).status for n in range(1, 10)]
    assert statuses == [
        *("rate_limited", "environment", "ok"),  # an answer in between: counted from 0 again
        *("blocked", "rate_limited", "environment"),
        *("pending", "pending", "pending"),
    ]
    assert fetch.fetch.tripped
    assert answers.asked == ["1", "2", "3", "4", "5", "6"]
    assert fetch(recording("3")).status == "ok"  # what is there needs no asking


def test_dead_videos_are_no_refusals(answers, settings, tmp_path):
    answers |= {str(n): "Video unavailable" for n in range(9)}
    fetch = Remembering(tmp_path, settings)
    assert {fetch(recording(str(n))).status for n in range(9)} == {"unavailable"}


def test_reasons_are_one_short_line(answers, settings, tmp_path):
    url = "https://www.youtube.com/watch?v=x"
    answers["a"] = f"Odd\n  thing at {url}; please report this issue on  https://github.com/y"
    outcome = Remembering(tmp_path, settings)(recording("a"))
    assert (outcome.status, outcome.reason) == ("environment", "Odd thing at the URL")


def test_options_spell_out_what_yt_dlp_leaves_unset(settings):
    cookies = YtDlp(cookiefile="c.txt")
    settings = settings.model_copy(update={"retries": 7, "options": cookies})
    remote = client.options("https://www.youtube.com/watch?v=-x", Path("a%b"), settings)
    assert [remote[f"{kind}retries"] for kind in ("", "fragment_", "extractor_")] == [7, 7, 3]
    assert remote["retry_sleep_functions"]["http"](3) == 8
    assert remote["outtmpl"] == "a%%b/media.%(ext)s"
    assert remote["cookiefile"] == "c.txt" and "proxy" not in remote
    assert not remote["enable_file_urls"]
    assert client.options("file:///x.mp4", Path("/a"), settings)["enable_file_urls"]


def test_slow_files_are_given_up_each_by_its_own_rate(settings, monkeypatch):
    settings = settings.model_copy(update={"min_rate": 100.0, "timeout": 10.0})
    (guard,) = client.options("https://www.youtube.com/watch?v=x", Path("/a"), settings)[
        "progress_hooks"
    ]
    clock = iter([0.0, 20.0, 50.0, 55.0, 70.0])
    monkeypatch.setattr(client.time, "monotonic", lambda: next(clock))
    guard({"filename": "pictures", "downloaded_bytes": 7000})  # gone on with: this much was there
    guard({"filename": "pictures", "downloaded_bytes": 9001})
    guard({"filename": "sound", "downloaded_bytes": 0})
    guard({"filename": "sound", "downloaded_bytes": 100})  # slow, but only for 5 s
    with pytest.raises(DownloadError, match=r"given up at 50 bytes/s"):
        guard({"filename": "sound", "downloaded_bytes": 1000})


def test_local_files_go_through_yt_dlp(settings, tmp_path, monkeypatch):
    film = write_clip(tmp_path / "in put%20" / "-clip.mp4", seconds=1)
    tmp_path = tmp_path / "100% $HOME ~"
    tmp_path.mkdir()
    monkeypatch.chdir(tmp_path)
    (film.parent / "empty.mp4").write_bytes(b"")
    fetch = Remembering(tmp_path / "store", settings)
    good, empty, absent = (
        fetch(recording(f"-{name}", (film.parent / f"{name}.mp4").as_uri()))
        for name in ("-clip", "empty", "absent")
    )
    assert (good.status, good.duration, good.resolution) == ("ok", 1.0, "96x64")
    stored = fetch.folder(recording("--clip", film.as_uri())) / good.file
    assert file_hash(stored) == file_hash(film)
    assert (empty.status, absent.status) == ("missing", "missing")
    assert empty.reason == absent.reason == "no such file, or an empty one"
    film.write_bytes(film.read_bytes() + b"more")  # rendered anew under the same name
    again = fetch(recording("--clip", film.as_uri()))
    assert (again.bytes, again.attempts) == (good.bytes + 4, 1)


class _Broken(BaseHTTPRequestHandler):
    """Serves one file; the connection breaks in the middle of the first download."""

    content = b""
    ranges: list = []  # noqa: RUF012 - both set anew by the test
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.ranges.append(start)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(self.content) - start))
        if asked:
            last = len(self.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        self.end_headers()
        stop = len(self.content) // 2 if len(self.ranges) == 2 else None
        self.wfile.write(self.content[start:stop])

    def log_message(self, *_):
        pass


def test_a_broken_download_is_gone_on_with(film, settings, tmp_path):
    padding = 1 << 20  # an atom that players skip: the film alone would come in a single block
    _Broken.content = film.read_bytes() + (padding + 8).to_bytes(4) + b"free" + bytes(padding)
    _Broken.ranges = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = recording("film", f"http://127.0.0.1:{server.server_port}/film.mp4")
        first = Remembering(tmp_path, settings)(asked)
        fetch = Remembering(tmp_path, settings)
        second = fetch(asked)
        server.shutdown()
    assert (first.status, second.status, second.attempts) == ("environment", "ok", 2)
    assert (fetch.folder(asked) / second.file).read_bytes() == _Broken.content
    # The last block of the first half was lost with the connection; the rest was not asked for.
    assert 0.9 < _Broken.ranges[-1] / (len(_Broken.content) // 2) <= 1


@pytest.fixture
def run_stage(params, settings, answers, tmp_path, monkeypatch):
    """Runs the stage over recordings a, b, c, d; returns its table by id."""
    monkeypatch.chdir(tmp_path)
    write_index(Path("set/index.csv"), [recording(name) for name in "abcd"])
    dataset = params.dataset | {"solos": params.dataset["solos"].model_copy()}
    dataset["solos"] = dataset["solos"].model_copy(update={"folder": "set"})

    def run():
        stage.main(params.model_copy(update={"dataset": dataset, "download": settings}), "solos")
        rows = read_table(Path("data/raw/solos/status.csv"), "")
        return {row["id"]: row for row in rows}

    return run


def test_the_stage_links_what_it_has_and_accounts_for_the_rest(run_stage, answers, film):
    answers |= {"b": "Private video"}
    rows = run_stage()
    assert list(rows) == ["a", "b", "c", "d"]
    assert rows["b"]["status"] == "private" and rows["b"]["file"] == ""
    assert (rows["a"]["file"], rows["a"]["bytes"]) == ("a.mp4", str(film.stat().st_size))
    assert rows["a"]["sha256"] == file_hash(film)
    assert sorted(path.name for path in Path("data/raw/solos").iterdir()) == [
        *("a.mp4", "c.mp4", "d.mp4", "status.csv"),
    ]
    Path("data/raw/solos/a.mp4").chmod(0o444)  # as DVC's links into its cache are
    assert run_stage() == rows
    assert answers.asked == ["a", "b", "c", "d"]


def test_too_low_a_coverage_fails_with_the_counts_and_keeps_the_files(run_stage, answers):
    answers |= {"a": "Private video", "b": "Private video", "c": "in your country"}
    with pytest.raises(
        UserError, match=r"2 private, 1 geo, 1 ok\n  all: 1 of 4, below(.|\n)*is kept"
    ):
        run_stage()
    assert Path("data/raw/solos/d.mp4").exists()
    assert len(read_table(Path("data/raw/solos/status.csv"), "")) == 4


def test_too_low_a_coverage_of_one_instrument_fails_too(run_stage, answers, settings):
    names = {"a": "Tuba", "b": "Viola", "c": "Viola", "d": "Viola"}
    write_index(Path("set/index.csv"), [Recording(n, i, "u:v", ()) for n, i in names.items()])
    answers |= {"a": "Private video"}
    with pytest.raises(UserError, match=r"Tuba: 0 of 1, below download.min_instrument_coverage"):
        run_stage()


def test_half_a_note_counts_as_none(answers, settings, tmp_path):
    Remembering(tmp_path, settings)(recording("a"))
    (note,) = tmp_path.glob("a.*/result.json")
    for text in ("", "{}", '{"result": {"status": "private", "reason": "", "attempts": 1}', "[]"):
        note.write_text(text)
        assert Remembering(tmp_path, settings)(recording("a")).status == "ok"


def test_missing_cookies_are_named_before_anything_is_asked(settings, tmp_path):
    options = YtDlp(cookiefile="absent.txt")
    with pytest.raises(UserError, match=r"absent.txt is not there"):
        Fetcher(settings.model_copy(update={"options": options}))


def test_status_notes_are_plain_json(answers, settings, tmp_path):
    outcome = Remembering(tmp_path, settings)(recording("a"))
    (note,) = tmp_path.glob("a.*/result.json")
    assert json.loads(note.read_text())["result"]["file"] == outcome.file == "a.mp4"
    assert (note.parent / outcome.file).is_file()


class _Streams(BaseHTTPRequestHandler):
    """Streams without an end: a playlist that is being added to, a radio; and one with an end."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.send_response(200)
        kind = "audio/mpeg" if name == "radio.mp3" else "application/vnd.apple.mpegurl"
        self.send_header("Content-Type", kind)
        self.end_headers()
        if self.command == "HEAD":
            return
        if name == "radio.mp3":
            with suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 14))
                    time.sleep(0.01)
        seconds = 5000 if name == "long.m3u8" else 4
        lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{seconds}", f"#EXTINF:{seconds},", "a.ts"]
        lines += ["#EXT-X-ENDLIST"] if name == "long.m3u8" else []
        self.wfile.write("\n".join([*lines, ""]).encode())

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("live.m3u8", "live", "a live stream, which has no end"),
        ("long.m3u8", "too_long", "5000 s long, above download.max_duration (2)"),
        ("radio.mp3", "live", "no end after"),
    ],
)
def test_what_has_no_end_or_too_late_a_one_is_a_status(name, status, reason, settings, tmp_path):
    limited = settings.model_copy(update={"max_duration": 2.0})
    with ThreadingHTTPServer(("127.0.0.1", 0), _Streams) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetch = Fetcher(limited)
        address = f"http://127.0.0.1:{server.server_port}/{name}"
        began = time.monotonic()
        outcome = fetch(recording("a", address), tmp_path)
        server.shutdown()
    assert (outcome["status"], reason in outcome["reason"]) == (status, True), outcome
    assert time.monotonic() - began < 10
    assert not list(tmp_path.iterdir())
    assert not fetch.tripped


@pytest.mark.parametrize(
    ("about", "status"),
    [
        ({"live_status": "is_live"}, "live"),
        ({"live_status": "post_live", "duration": 3.0}, "live"),
        ({"live_status": "is_upcoming"}, "upcoming"),
        ({"live_status": "was_live", "duration": 20000.0}, "too_long"),
        ({"live_status": "was_live", "duration": 20.0}, None),
        ({}, None),
    ],
)
def test_what_youtube_says_of_a_video_decides_before_a_byte_is_fetched(about, status, settings):
    guard = client.options("u:v", Path(), settings)["match_filter"]
    if status is None:
        guard(about, incomplete=True)
        return
    with pytest.raises(UnwantedError) as refused:
        guard(about)
    assert refused.value.outcome.status == status and refused.value.outcome.reason


def test_a_file_that_is_too_long_is_given_up_until_the_limit_is_raised(answers, settings, tmp_path):
    limited = settings.model_copy(update={"max_duration": 0.5})
    outcomes = [Remembering(tmp_path, limited)(recording("a")) for _ in range(2)]
    assert answers.asked == ["a"]
    assert {(o.status, o.file, o.attempts) for o in outcomes} == {("too_long", "", 1)}
    assert "above download.max_duration (0.5)" in outcomes[0].reason
    assert not list(tmp_path.rglob("*.mp4"))
    assert Remembering(tmp_path, settings)(recording("a")).status == "ok"
