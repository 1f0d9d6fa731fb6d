import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from closure import ROOT

from pipeline.fit import run_identity
from solos.config.recipes import Curriculum, PlateauSchedule, StepSchedule
from solos.errors import UserError
from solos.models.weights import build_network
from solos.storage.files import fingerprint
from solos.training import loop
from solos.training.distributed import ALONE, Processes
from solos.training.loop import _advance, _keep_best, make_optimizer, make_schedule, train
from solos.training.state import Checkpoint, CurriculumState, Run
from solos.training.tasks import MhuTask, SopTask, make_task

EPOCHS = 3


def run(task, path, stop_after=None, epochs=EPOCHS, seen=None, every=math.inf, identity=None):
    """Train from the same start; after ``stop_after`` (epoch, steps) the process "dies"."""
    torch.manual_seed(1)
    network = build_network(task.recipe)
    records = []

    def progress(batches, description):
        for step, batch in enumerate(batches):
            if stop_after == (description, step):
                raise KeyboardInterrupt
            if seen is not None:
                seen.append(description)
            yield batch

    checkpoint = Checkpoint(path, identity or {}, every)
    best = train(task, network, epochs, checkpoint, records.append, progress)
    return best, records, network.state_dict()


@pytest.fixture(params=["sop", "mhunet"])
def task(request, training_set, sop_recipe, mhu_recipe):
    recipe = {"sop": sop_recipe, "mhunet": mhu_recipe}[request.param]
    return make_task(recipe, 0, *training_set)


def test_each_recipe_has_its_task(training_set, sop_recipe, mhu_recipe):
    assert isinstance(make_task(sop_recipe, 0, *training_set), SopTask)
    assert isinstance(make_task(mhu_recipe, 0, *training_set), MhuTask)


def test_instruments_without_recordings_are_named(training_set, mhu_recipe, caplog):
    make_task(mhu_recipe, 0, *training_set)
    assert "no recordings to train on of Bassoon, Clarinet, DoubleBass" in caplog.text


def test_training_exports_the_best_epoch(task, tmp_path):
    best, records, _ = run(task, tmp_path / "last.pth")
    losses = [record["val_loss"] for record in records]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    lowest = min(losses[1:])
    assert best == {"epoch": losses.index(lowest), "val_loss": lowest}
    assert "train_loss" not in records[0]


def test_epoch_0_is_not_exported_whatever_its_loss(task, tmp_path, monkeypatch):
    def rising(worker, parts, epoch):
        assert list(parts)
        return 1.0 + epoch

    monkeypatch.setattr(loop, "validate", rising)
    best, records, _ = run(task, tmp_path / "last.pth")
    assert records[0]["val_loss"] < records[1]["val_loss"]
    assert best == {"epoch": 1, "val_loss": 2.0}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_resumed_equals_uninterrupted(task, step, tmp_path):
    """Stopped within the second epoch, after 0, 1 or 2 of its 3 steps."""
    if isinstance(task, MhuTask):
        task.recipe = task.recipe.model_copy(update={"dropout": 0.3})
    whole = run(task, tmp_path / "whole.pth")
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path / "cut.pth", stop_after=("epoch 2", step), every=0.0)
    computed = []
    best, records, weights = run(task, tmp_path / "cut.pth", seen=computed)
    assert computed.count("epoch 2") == 3 - step  # what was done is not done again
    assert "epoch 1" not in computed
    assert (best, records) == whole[:2]
    assert all(torch.equal(weights[name], whole[2][name]) for name in weights)


def test_a_checkpoint_within_an_epoch_is_written_when_due(task, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path / "cut.pth", stop_after=("epoch 1", 2), every=1e6)
    computed = []
    run(task, tmp_path / "cut.pth", seen=computed)
    assert computed.count("epoch 1") == 3


def test_another_trainings_checkpoint_is_refused(task, tmp_path):
    run(task, tmp_path / "last.pth", epochs=1, identity={"seed": 0, "recipe": {"lr": 0.1}})
    run(task, tmp_path / "last.pth", epochs=1, identity={"seed": 0, "recipe": {"lr": 0.1}})
    with pytest.raises(UserError, match=r"last\.pth is of another training"):
        run(task, tmp_path / "last.pth", epochs=1, identity={"seed": 1, "recipe": {"lr": 0.1}})


def test_what_decides_the_outcome_is_in_the_runs_key(task, training_set, tmp_path, monkeypatch):
    """A changed recipe, seed, number of epochs or processes, start or torch: another run."""

    def key(task, epochs=3, processes=ALONE) -> str:
        return fingerprint(run_identity(task, epochs, tmp_path, processes))

    seeded = make_task(task.recipe, 1, *training_set)
    slower = make_task(task.recipe.model_copy(update={"lr": 1e-9}), 0, *training_set)
    keys = [key(task), key(seeded), key(slower), key(task, epochs=4)]
    keys.append(key(task, processes=Processes(0, 2)))
    (tmp_path / "start.pth").write_bytes(b"weights")
    keys.append(key(task))
    with monkeypatch.context() as patched:
        patched.setattr(torch, "__version__", "0.1")
        keys.append(key(task))
    assert len(set(keys)) == len(keys)
    assert key(make_task(task.recipe, 0, *training_set)) == keys[-2]


def test_the_runs_key_knows_the_code_that_trains(task, tmp_path):
    """And no other: an edited report does not throw a week of training away."""
    code = (
        "import sys, torch; from pathlib import Path; import pipeline.train; "
        "from pipeline.fit import _code; print(*(p.relative_to(Path.cwd()) for p in _code()))"
    )
    output = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()
    expected = {"pipeline/fit.py", "pipeline/train.py", "solos/models/sop.py"}
    expected |= {f"solos/training/{name}.py" for name in ("loop", "mixes", "store", "tasks")}
    assert expected <= set(output)
    others = ("report", "evaluation", "download", "media", "preparation", "statistics", "commands")
    assert not [name for name in output if name.startswith(tuple(f"solos/{o}/" for o in others))]
    assert "pipeline/report.py" not in output


def test_no_epochs_exports_the_start(task, tmp_path):
    torch.manual_seed(1)
    start = build_network(task.recipe).state_dict()
    best, records, weights = run(task, tmp_path / "last.pth", epochs=0)
    assert best["epoch"] == 0 and len(records) == 1
    assert all(torch.equal(weights[name], start[name]) for name in start)


def test_a_loss_that_is_not_finite_is_named(task, tmp_path, monkeypatch):
    loss = task.loss
    monkeypatch.setattr(
        task, "loss", lambda net, batch: loss(net, batch) * (math.nan if net.training else 1)
    )
    with pytest.raises(UserError, match=r"nan \(loss, epoch 1, step 0, mixes 0 to 1\): lower"):
        run(task, tmp_path / "last.pth")


def test_a_gradient_that_is_not_finite_is_named(task, tmp_path, monkeypatch):
    """The square root of 0 is 0, but its slope infinite."""
    loss = task.loss

    def steep(network, batch):
        return loss(network, batch) + torch.sqrt(0 * next(network.parameters()).square().sum())

    monkeypatch.setattr(task, "loss", steep)
    with pytest.raises(UserError, match="nan \\(gradient's norm, epoch 1, step 0"):
        run(task, tmp_path / "last.pth")


def test_an_error_in_a_loading_process_is_the_users_message(task, tmp_path, monkeypatch):
    def fail(store, recording, rng):
        raise UserError(f"{recording.instrument}.npy: all silent")

    monkeypatch.setattr("solos.training.store.SpectrogramStore.place", fail)
    task.recipe = task.recipe.model_copy(update={"workers": 2})
    with pytest.raises(UserError, match=r"^(Cello|Flute|Tuba)\.npy: all silent$"):
        run(task, tmp_path / "last.pth")


def two_recordings(mixes, index) -> bool:
    """Sight can't tell a recording from itself."""
    return (
        len(
            {crop.recording for crop in mixes._draw(np.random.default_rng([0, 0, 1, index]), index)}
        )
        > 1
    )


@pytest.mark.parametrize(("kind", "steps"), [("sop", 130), ("mhunet", 40)])
def test_four_mixes_can_be_learnt(kind, steps, training_set, sop_recipe, mhu_recipe):
    """The loss falls below a fifth of its start, which is that of chance."""
    wider = {"channels": [8, 16, 16]} | ({"components": 8} if kind == "sop" else {"dropout": 0.0})
    recipe = {"sop": sop_recipe, "mhunet": mhu_recipe}[kind].model_copy(update=wider)
    task = make_task(recipe, 0, *training_set)
    mixes = task.train_mixes(1, 2)
    seen = [i for i in range(6) if kind == "mhunet" or two_recordings(mixes, i)][:4]
    batch = next(iter(torch.utils.data.DataLoader(mixes, batch_sampler=[seen])))
    network = build_network(recipe)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(steps):
        loss = task.loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert max(losses[-5:]) < 0.2 * losses[0]


@pytest.mark.parametrize("name", ["channels_last", "precision"])
def test_ways_of_computing_are_parameters(name, task, tmp_path):
    """Each reaches the network; none changes what is learnt by more than its rounding."""
    change = {"channels_last": False, "precision": "bfloat16"}[name]
    reference = run(task, tmp_path / "a.pth", epochs=1)[1]
    task.recipe = task.recipe.model_copy(update={name: change})
    found = run(task, tmp_path / "b.pth", epochs=1)[1]
    tolerance = {"channels_last": 1e-3, "precision": 0.05}[name]
    for record, expected in zip(found, reference, strict=True):
        assert record["val_loss"] == pytest.approx(expected["val_loss"], rel=tolerance)
        if name == "precision":
            assert record["val_loss"] != expected["val_loss"]


def test_a_compiled_network_learns_the_same(task, tmp_path, monkeypatch):
    """By torch's own tracing and differentiation; code generation needs a compiler, so not here."""
    compiled = []
    compile_ = torch.compile

    def traced(network):
        compiled.append(network)
        return compile_(network, backend="aot_eager")

    reference = run(task, tmp_path / "a.pth", epochs=1)[1]
    monkeypatch.setattr(torch, "compile", traced)
    task.recipe = task.recipe.model_copy(update={"compile": True})
    _, found, weights = run(task, tmp_path / "b.pth", epochs=1)
    assert len(compiled) == 1
    assert all("_orig_mod" not in name for name in weights)
    for record, expected in zip(found, reference, strict=True):
        assert record["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-4)


def test_curriculum_and_schedule_epoch_by_epoch(mhu_recipe):
    """Over a list of losses, with 2 stagnant epochs let pass and 1 bad one by the schedule."""
    curriculum = Curriculum(start=2, stop=3, patience=2, min_delta=0.1)
    schedule = PlateauSchedule(kind="plateau", patience=1, factor=0.5)
    update = {"curriculum": curriculum, "schedule": schedule, "lr": 1.0}
    recipe = mhu_recipe.model_copy(update=update)
    optimizer = make_optimizer(recipe, [{"params": [torch.zeros(1, requires_grad=True)]}])
    task = SimpleNamespace(recipe=recipe)
    state = Run(None, optimizer, make_schedule(recipe, optimizer, 9), CurriculumState(2))
    optimizer.step()
    script = [  # loss, then: level, stagnant epochs, learning rate
        (1.00, 2, 0, 1),
        (0.95, 2, 1, 1),  # no improvement of 0.1
        (0.95, 2, 2, 1),
        (0.95, 3, 0, 1),  # the third in a row: one source more, and the best is forgotten
        (5.00, 3, 0, 1),  # so this is an improvement
        (5.00, 3, 1, 1),
        (5.00, 3, 2, 1),
        (5.00, 3, 3, 1),  # from here on the schedule counts: its first epoch is its best
        (5.00, 3, 4, 1),  # a bad one, let pass
        (5.00, 3, 5, 0.5),  # another
        (4.00, 3, 0, 0.5),  # improved: the schedule waits again
        (4.00, 3, 1, 0.5),
        (4.00, 3, 2, 0.5),
        (4.50, 3, 3, 0.5),
    ]
    for epoch, (loss, level, stagnant, rate) in enumerate(script):
        _advance(task, state, loss)
        found = (state.curriculum.max_src, state.curriculum.stagnant)
        assert (*found, optimizer.param_groups[0]["lr"]) == (level, stagnant, rate), epoch


def test_the_papers_curriculum_rises_at_each_eleventh_stagnant_epoch():
    curriculum = Curriculum(start=2, stop=7, patience=10, min_delta=1e-4)
    state = CurriculumState(2)
    levels, counts = [], []
    for epoch in range(100):
        loss = 1.0 - 0.9e-4 * (epoch > 0)  # never better by as much as 1e-4
        counts.append(state.update(loss, curriculum))
        levels.append(state.max_src)
    rises = [epoch for epoch in range(1, 100) if levels[epoch] > levels[epoch - 1]]
    assert rises == [11, 23, 35, 47, 59] and levels[-1] == 7
    # each rise forgets the best, so the epoch after it improves; at 7 the eleventh is number 71
    assert counts == [epoch >= 71 for epoch in range(100)]


def test_fresh_validation_mixes_have_the_current_number_of_sources(training_set, mhu_recipe):
    recipe = mhu_recipe.model_copy(update={"validation": "current"})
    fresh, fixed = (make_task(r, 0, *training_set) for r in (recipe, mhu_recipe))
    assert fresh.val_mixes(1, 2).max_src == 2 and fixed.val_mixes(1, 2).max_src == 3
    first, second = (fresh.val_mixes(epoch, 2)[0]["mix_mag"] for epoch in (1, 2))
    assert not torch.equal(first, second)
    first, second = (fixed.val_mixes(epoch, 2)[0]["mix_mag"] for epoch in (1, 2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(("validation", "kept"), [("last", 1), ("current", 3)])
def test_the_best_of_fresh_mixes_is_sought_anew_at_each_rise(mhu_recipe, validation, kept):
    task = SimpleNamespace(recipe=mhu_recipe.model_copy(update={"validation": validation}))
    state = Run(torch.nn.Linear(1, 1), None, None, CurriculumState(2))
    for epoch, (loss, level) in enumerate([(0.1, 2), (0.2, 2), (0.5, 3), (0.6, 3)], start=1):
        _keep_best(task, state, {"epoch": epoch, "val_loss": loss, "max_src": level})
    assert state.best["epoch"] == kept


def test_the_last_weights_can_be_exported(training_set, mhu_recipe, tmp_path):
    recipe = mhu_recipe.model_copy(update={"export": "last", "lr": 1e-9})
    best, records, _ = run(make_task(recipe, 0, *training_set), tmp_path / "last.pth")
    assert best == {"epoch": EPOCHS, "val_loss": records[-1]["val_loss"]}


def test_partial_batches_are_dropped(task, tmp_path):
    task.recipe = task.recipe.model_copy(update={"batch_size": 4})  # of 6 mixes
    computed = []
    run(task, tmp_path / "last.pth", epochs=1, seen=computed)
    assert computed.count("epoch 1") == 1
    task.recipe = task.recipe.model_copy(update={"batch_size": 7})  # but for an epoch's only one
    _, records, _ = run(task, tmp_path / "other.pth", epochs=1, seen=computed)
    assert computed.count("epoch 1") == 2 and records[1]["train_loss"] > 0


def test_a_batch_in_parts_is_a_step_of_summed_gradients(training_set, mhu_recipe, tmp_path):
    """Two parts of two: batch norm sees two mixes at a time, the optimizer all four."""
    size = {"batch_size": 4, "norm_batch": 2, "train_mixes": 4, "optimizer": "sgd", "lr": 0.1}
    recipe = mhu_recipe.model_copy(update={**size, "dropout": 0.0, "export": "last"})
    task = make_task(recipe, 0, *training_set)
    _, _, found = run(task, tmp_path / "last.pth", epochs=1)
    torch.manual_seed(1)
    network = build_network(recipe).train().to(memory_format=torch.channels_last)
    for part in torch.utils.data.DataLoader(task.train_mixes(1, 2), 2):
        (task.loss(network, part) / 2).backward()
    for name, parameter in network.named_parameters():
        expected = parameter - 0.1 * parameter.grad
        assert torch.allclose(found[name], expected, atol=1e-6), name


def learning_rates(recipe, losses) -> list[float]:
    optimizer = make_optimizer(recipe, [{"params": [torch.zeros(1, requires_grad=True)]}])
    schedule = make_schedule(recipe, optimizer, recipe.epochs)
    rates = []
    for loss in losses:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(*([loss] if isinstance(recipe.schedule, PlateauSchedule) else []))
    return rates


def test_step_schedule(sop_recipe):
    schedule = StepSchedule(kind="step", milestones=[2, 4], gamma=0.1)
    recipe = sop_recipe.model_copy(update={"schedule": schedule, "lr": 1.0})
    assert learning_rates(recipe, range(6)) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_plateau_schedule(mhu_recipe):
    schedule = PlateauSchedule(kind="plateau", patience=2, factor=0.5)
    recipe = mhu_recipe.model_copy(update={"schedule": schedule, "lr": 1.0})
    rates = learning_rates(recipe, [5, 4, 4, 4, 4, 4, 4, 4, 4])
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]  # two bad epochs are let pass


def test_sop_groups_have_the_published_rates(training_set, sop_recipe):
    task = make_task(sop_recipe, 0, *training_set)
    network = build_network(sop_recipe)
    optimizer = make_optimizer(sop_recipe, task.parameter_groups(network))
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [sop_recipe.lr, sop_recipe.lr_trunk]
    counts = sum(len(group["params"]) for group in optimizer.param_groups)
    assert counts == len(list(network.parameters()))
