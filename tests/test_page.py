"""The report's page without a browser: choices, sounds, figures, tables, size."""

from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image
from small_run import EVIL, SEED

from solos import SAMPLE_RATE
from solos.errors import UserError
from solos.evaluation.segments import prepared_pieces, read_segments
from solos.report import figures, tables
from solos.report.choice import choose, improvements
from solos.report.curves import losses, read_curves
from solos.report.embed import blend, mask_uri, sound_uri, spectrogram_uri
from solos.report.gather import choose_segments, find_eyes, gather, make_examples, read_lines
from solos.report.render import frequency_ticks, render
from solos.separation.segments import NO_VIDEO, predict_masks, separate_segments
from solos.separation.separator import load_separator
from solos.signal.fourier import stft
from solos.signal.masks import apply_masks


def content_of(uri: str) -> BytesIO:
    return BytesIO(b64decode(uri.split(",", 1)[1]))


def scores(values: dict[tuple[str, int], list[float]], skipped=()) -> pd.DataFrame:
    """Lines of a row: SDR of each source by piece and segment."""
    lines = [
        {"piece": piece, "segment": number, "part": str(part), "n_sources": len(sdrs)}
        | {"SDR": sdr, "skipped": "silent" if (piece, number) in skipped else ""}
        for (piece, number), sdrs in values.items()
        for part, sdr in enumerate(sdrs, 1)
    ]
    return pd.DataFrame(lines)


SEGMENTS = {("a", 0): [0, 0], ("a", 1): [1, 1], ("b", 0): [0, 0, 0], ("b", 1): [0, 0, 0]}
BETTER = {("a", 0): [3, 5], ("a", 1): [2, 0], ("b", 0): [6, 0, 0], ("b", 1): [1, 1, 4]}
# Improvement by hand: 4, 0, 2, 2


def test_segments_are_ordered_by_their_mean_improvement():
    both = {"mixture": scores(SEGMENTS), "sop": scores(BETTER), "sop_ft": scores(SEGMENTS)}
    one = improvements(both, ["sop"])
    assert list(one["improvement"]) == [0, 2, 2, 4]
    assert list(zip(one["piece"], one["segment"], strict=True))[1:3] == [("b", 0), ("b", 1)]
    assert list(improvements(both, ["sop", "sop_ft"])["improvement"]) == [0, 1, 1, 2]


def test_only_segments_scored_for_all_rows_with_scores_count():
    tables_ = {
        "mixture": scores(SEGMENTS),
        "sop": scores(BETTER, skipped=SEGMENTS),
        "mhunet": scores(BETTER, skipped=[("a", 0)]),
    }
    found = improvements(tables_, ["sop", "mhunet", "sop_ft"])
    assert list(found["improvement"]) == [0, 2, 2]
    assert improvements(tables_, ["sop"]).empty
    assert choose(improvements(tables_, ["sop"]), 0) == []


def ordered(n_sources: list[int]) -> pd.DataFrame:
    size = len(n_sources)
    columns = {"piece": ["p"] * size, "segment": range(size), "n_sources": n_sources}
    return pd.DataFrame(columns | {"improvement": np.arange(size, dtype=float)})


def test_best_median_worst_and_a_drawn_quintet():
    table = ordered([5, 2, 5, 2, 5, 2, 5, 6, 5])
    chosen = choose(table, seed=1)
    assert [choice.kind for choice in chosen] == ["best", "median", "worst", "quintet"]
    assert [choice.number for choice in chosen[:3]] == [8, 4, 0]
    assert chosen[3].number in (2, 6) and chosen[3].n_src == 5
    assert choose(table, seed=1) == chosen
    assert {choose(table, seed)[3].number for seed in range(20)} == {2, 6}


def test_without_quintets_the_most_sources_and_never_a_segment_twice():
    assert choose(ordered([2, 4, 2, 3, 4, 2]), seed=0)[3].n_src == 4
    for size in range(4):
        numbers = [choice.number for choice in choose(ordered([2] * size), seed=0)]
        assert len(numbers) == len(set(numbers)) == size


def test_sounds_are_lossless_and_repeatable():
    wave = np.random.default_rng(0).uniform(-1.2, 1.2, 5000).astype(np.float32)
    uri = sound_uri(wave)
    assert uri.startswith("data:audio/flac;base64,")
    assert uri == sound_uri(wave)
    decoded, rate = soundfile.read(content_of(uri), dtype="int16")
    assert rate == SAMPLE_RATE
    np.testing.assert_array_equal(decoded, np.round(np.clip(wave, -1, 1) * 32767))


def test_pictures_have_low_frequencies_at_the_bottom_and_a_range_of_60_db():
    mag = np.full((256, 256), 1e-9)
    mag[:128] = 1.0
    picture = np.asarray(Image.open(content_of(spectrogram_uri(mag, top=1.0)))).astype(int)
    assert picture.shape == (256, 256, 3)
    assert picture[:100].sum(axis=2).max() < 40  # the upper half, nothing
    assert picture[156:].sum(axis=2).min() > 500
    faint = np.asarray(Image.open(content_of(spectrogram_uri(mag * 10**-3.1, top=1.0))))
    assert faint.astype(int).sum(axis=2).max() < 40
    mask = np.asarray(Image.open(content_of(mask_uri(np.ones((256, 256))))))
    np.testing.assert_allclose(mask[100, 100], (253, 231, 37), atol=12)  # viridis' last


def test_a_localisation_map_is_bright_where_its_energy_is():
    places = np.zeros((4, 4), np.float32)
    places[0, 3] = 7.0
    over = blend(np.full((80, 80, 3), 60, np.uint8), places).astype(int)
    assert over[5, 75].sum() > 450
    np.testing.assert_array_equal(over[70, 10], 60)


def test_frequency_ticks_follow_the_warp():
    u = np.log(20 * 1000 / 5512.5 + 1) / np.log(21)  # of 21^u, the warp's curve
    assert frequency_ticks()["1 kHz"] == pytest.approx(100 * u, abs=0.2)


def test_examples_hold_what_the_networks_made(run):
    choice = choose_segments(read_lines(run), run)[0]
    separators = {row: load_separator(run.data / "models" / row) for row in run.networks}
    segments = list(read_segments(prepared_pieces(run.data / "urmp"), run.protocol))
    (example,) = make_examples([choice], segments, separators, find_eyes(run))
    (segment,) = [s for s in segments if (s.piece.name, s.number) == (choice.piece, choice.number)]
    estimates = next(separate_segments(separators["mhunet"], [segment]))
    heard = [source.estimates["mhunet"] for source in example.sources]
    decoded = np.stack([soundfile.read(content_of(sound.audio))[0] for sound in heard])
    mixture = soundfile.read(content_of(example.mixture.audio))[0]
    gain = np.abs(mixture).max() / np.abs(segment.mix).max()  # one for all
    np.testing.assert_allclose(mixture, gain * segment.mix, atol=1e-4)
    np.testing.assert_allclose(decoded, gain * estimates, atol=1e-4)
    for row, separator in separators.items():
        masks = predict_masks(separator, segment)
        assert masks.shape == (len(segment.references), 256, 256)
        assert heard and example.sources[0].estimates[row].mask == mask_uri(masks[0].numpy())


@torch.inference_mode()
def test_masks_are_those_that_made_the_estimates(run):
    segment = next(read_segments(prepared_pieces(run.data / "urmp"), run.protocol))
    for row in run.networks:
        separator = load_separator(run.data / "models" / row, "soft")
        estimates = next(separate_segments(separator, [segment]))
        masks = predict_masks(separator, segment)
        made = apply_masks(stft(torch.from_numpy(segment.mix)), masks, segment.mix.size)
        np.testing.assert_allclose(made.numpy(), estimates, atol=1e-5)


def test_segments_of_other_lengths(run):
    """A kept tail of 25,535 samples, and one segment of more than a block."""
    (piece, *_) = prepared_pieces(run.data / "urmp")
    choice = replace(choose_segments(read_lines(run), run)[0], piece=piece.name, number=1)
    separators = {row: load_separator(run.data / "models" / row) for row in run.networks}
    protocol = run.protocol.model_copy(update={"segment": 40_000, "tail": "keep"})
    segments = list(read_segments([piece], protocol))
    (example,) = make_examples([choice], segments, separators, "sop")
    assert (example.start, example.seconds) == (40_000 / SAMPLE_RATE, 25_535 / SAMPLE_RATE)
    assert example.sources[0].players[0].localisation
    mask = Image.open(content_of(example.sources[0].estimates["sop"].mask))
    assert mask.size == (1 + 25_535 // 256, 256)
    double = replace(segments[0], mix=np.concatenate([segments[0].mix] * 2))
    assert predict_masks(separators["mhunet"], double).shape == (2, 256, 1 + 80_000 // 256)


def test_a_piece_without_video_says_so(run):
    segment = next(read_segments(prepared_pieces(run.data / "urmp"), run.protocol))
    blind = [replace(source, frames=()) for source in segment.piece.sources]
    segment = replace(segment, piece=replace(segment.piece, sources=tuple(blind)))
    choice = replace(choose_segments(read_lines(run), run)[0], piece=segment.piece.name, number=0)
    separators = {row: load_separator(run.data / "models" / row) for row in run.networks}
    (example,) = make_examples([choice], [segment], separators, "sop")
    assert example.absent == {"sop": NO_VIDEO}
    assert list(example.sources[0].estimates) == ["mhunet", "oracle_binary", "oracle_ratio"]
    assert example.sources[0].players == ()
    lines = read_lines(run)
    page = render(gather(run, lines, [example]))
    assert "This piece has no video." in page and NO_VIDEO in page


def test_the_page_has_every_row_with_its_figures(page, run):
    for row in ("sop", "mhunet"):
        mean = run.metrics[row]["SDR"]["mean"]
        assert f"<b>{mean:.2f}".replace("-", "−") in page
    assert "−0.56 ± 5.96" in page  # published
    assert "not part of this run" in page  # sop_pretrained, sop_ft
    assert "90 % interval" in page
    assert "abc &amp; def" in page
    assert "1 &lt;private&gt;" in page
    assert EVIL not in page and "&lt;img src=x onerror=alert(1)&gt;" in page


def test_the_page_is_the_same_each_time(page, run):
    lines = read_lines(run)
    separators = {row: load_separator(run.data / "models" / row) for row in run.networks}
    segments = read_segments(prepared_pieces(run.data / "urmp"), run.protocol)
    choices = choose_segments(lines, run)
    examples = make_examples(choices, segments, separators, find_eyes(run))
    assert render(gather(run, lines, examples)) == page


def test_a_page_that_grows_too_large_leaves_out_examples_and_says_so(page, content):
    limit = len(page.encode())
    assert render(content, limit + 1) == page
    fewer = render(content, limit)
    assert len(fewer.encode()) < limit
    assert fewer.count('class="example"') == 3
    assert "would not be under" in fewer and "quintet" in fewer
    least = render(content, 900_000)
    assert least.count('class="example"') < 3 and "worst, quintet" in least
    with pytest.raises(UserError, match=r"must stay under 1000"):
        render(content, 1000)


def test_a_row_that_was_never_scored_and_one_alone(run):
    """``model=sop`` on a test set without video: nothing to hear, and the page says why."""
    lines = {
        row: table.assign(skipped=NO_VIDEO if row == "sop" else table["skipped"])
        for row, table in read_lines(run).items()
        if row != "mhunet"
    }
    nothing = {name: {"mean": None, "std": None} for name in ("SDR", "SIR", "SAR", "SI-SDR")}
    absent = nothing | {"segments": 0, "skipped": 5, "reason": NO_VIDEO}
    metrics = {row: m for row, m in run.metrics.items() if row != "mhunet"} | {"sop": absent}
    alone = replace(run, metrics=metrics, networks={"sop": "sop"})
    assert choose_segments(lines, alone) == []
    assert find_eyes(alone) is None
    page = render(gather(alone, lines, []))
    assert f"No segment was scored for all trained rows: {NO_VIDEO}." in page
    assert "<audio" not in page
    assert "5 skipped" in page


def test_missing_statistics_are_named(run, tmp_path):
    with pytest.raises(UserError, match=r"rows\.csv is missing: run the stage statistics"):
        gather(replace(run, data=tmp_path), {}, [])


def test_figures_take_colours_from_the_page_and_escape_names():
    lines = pd.DataFrame({"SDR": [1.0, 2.0, 4.0], "SI-SDR": [1.0, 1.5, 3.0], "n_sources": 2})
    name = "a<b> $x$"
    svg = figures.boxes({name: lines}, "n_sources", [name], 'say "hi" & <go>', "")
    assert "var(--row-0)" in svg and "var(--ink)" in svg and "#010203" not in svg
    assert "a&lt;b&gt; $x$" in svg
    assert 'aria-label="say &quot;hi&quot; &amp; &lt;go&gt;"' in svg
    assert svg == figures.boxes({name: lines}, "n_sources", [name], 'say "hi" & <go>', "")
    other = figures.agreement({name: lines}, [name], seed=SEED)
    ids = [set(part.split('"')[0] for part in text.split(' id="')[1:]) for text in (svg, other)]
    assert ids[0] and not ids[0] & ids[1]


def test_figures_of_nothing():
    assert figures.boxes({}, "instrument", [], "nothing", "").startswith("<svg")
    assert figures.agreement({}, [], seed=0).startswith("<svg")


def test_curves_are_read_by_epoch_and_drawn_with_the_curriculum(run):
    curves = read_curves(run.data / "training", ["sop", "mhunet", "absent"])
    assert list(curves) == ["sop", "mhunet"]
    assert list(curves["sop"]["val_loss"]) == [0.5, 0.4, 0.45, 0.3]
    svg = losses({"mhunet": curves["mhunet"]}, {"sop": "A", "mhunet": "B"}, "loss", "curve")
    assert "curriculum: most sources in a mix" in svg and "B, training" in svg
    flat = curves["mhunet"].assign(max_src=2)
    assert "curriculum" not in losses({"mhunet": flat}, {"mhunet": "B"}, "loss", "curve")


def test_tables_by_hand():
    line = {"row": "sop", "metric": "SDR", "n": 6, "titles": 3, "mean": -1.234, "std": 2.0}
    rows = pd.DataFrame([line | {"median": -1.0, "low": -2.5, "high": np.nan}])
    rows["high"] = 0.25
    metrics = {"sop": {"SDR": {"mean": -1.234, "std": 2.0}, "segments": 3, "skipped": 1}}
    (row,) = tables.table2(metrics, rows, ["sop"])
    assert row.figures["SDR"] == tables.Figure("−1.23 ± 2.00", "−2.50 to 0.25", "−2.98 ± 5.07")
    assert row.figures["SI-SDR"].measured == ""
    assert tables.improvement(rows).lines == [["SoP-Solos", "−1.23 (−2.50 to 0.25)"]]
    rows["low"] = rows["high"] = np.nan  # a single title
    assert tables.improvement(rows).lines == [["SoP-Solos", "−1.23"]]
    pair = rows.assign(other="mhunet", wins=0.75, low=0.1, high=0.2)
    (differences,) = tables.paired(pair)
    assert differences.caption == "Paired differences in SDR"
    expected = ["MHU-Net over SoP-Solos", "−1.23", "0.10 to 0.20", "−1.00", "75 %", "6", "3"]
    assert differences.lines == [expected]
    by = rows.assign(n_sources=3)
    assert tables.breakdown(by, "n_sources", "x").lines == [["3", "−1.23"]]
