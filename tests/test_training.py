import math
import subprocess
import sys

import pytest
import torch
from closure import ROOT

from pipeline.fit import run_identity
from solos.config.recipes import Curriculum, PlateauSchedule, StepSchedule
from solos.errors import UserError
from solos.models.weights import build_network
from solos.storage.files import fingerprint
from solos.training.distributed import ALONE, Processes
from solos.training.loop import make_optimizer, make_schedule, train
from solos.training.state import Checkpoint, CurriculumState
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
    assert best == {"epoch": losses.index(min(losses)), "val_loss": min(losses)}
    assert "train_loss" not in records[0]


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


@pytest.mark.parametrize(("kind", "steps"), [("sop", 130), ("mhunet", 40)])
def test_four_mixes_can_be_learnt(kind, steps, training_set, sop_recipe, mhu_recipe):
    """The loss falls below a fifth of its start, which is that of chance."""
    wider = {"channels": [8, 16, 16]} | ({"components": 8} if kind == "sop" else {"dropout": 0.0})
    recipe = {"sop": sop_recipe, "mhunet": mhu_recipe}[kind].model_copy(update=wider)
    task = make_task(recipe, 0, *training_set)
    batch = next(iter(torch.utils.data.DataLoader(task.train_mixes(1, 2), 4)))
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


def test_curriculum_rises_after_stagnant_epochs_and_stops():
    curriculum = Curriculum(start=2, stop=4, patience=3, min_delta=0.1)
    state = CurriculumState(2)
    levels = []
    for loss in [1.0, 0.8, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.6, 0.6, 0.6, 0.6, 0.6]:
        state.update(loss, curriculum)
        levels.append(state.max_src)
    # 0.75 is no improvement of 0.1 on 0.8: three of them raise the level, three more do again.
    assert levels == [2, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4]


def test_the_papers_curriculum_takes_fifty_stagnant_epochs_from_two_to_seven():
    curriculum = Curriculum(start=2, stop=7, patience=10, min_delta=1e-4)
    state = CurriculumState(2)
    levels = []
    for epoch in range(100):
        state.update(1.0 - 0.9e-4 * (epoch > 0), curriculum)  # never better by as much as 1e-4
        levels.append(state.max_src)
    rises = [epoch for epoch in range(1, 100) if levels[epoch] > levels[epoch - 1]]
    assert rises == [10, 20, 30, 40, 50] and levels[-1] == 7


def learning_rates(recipe, losses) -> list[float]:
    optimizer = make_optimizer(recipe, [{"params": [torch.zeros(1, requires_grad=True)]}])
    schedule = make_schedule(recipe, optimizer)
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
    rates = learning_rates(recipe, [5, 4, 4, 4, 4, 4, 4])
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.25]  # after two stagnant epochs, and two more


def test_sop_groups_have_the_published_rates(training_set, sop_recipe):
    task = make_task(sop_recipe, 0, *training_set)
    network = build_network(sop_recipe)
    optimizer = make_optimizer(sop_recipe, task.parameter_groups(network))
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [sop_recipe.lr, sop_recipe.lr_trunk]
    counts = sum(len(group["params"]) for group in optimizer.param_groups)
    assert counts == len(list(network.parameters()))
