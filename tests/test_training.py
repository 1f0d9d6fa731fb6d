import math

import pytest
import torch

from solos.checkpoint import build_network
from solos.config import Curriculum, PlateauSchedule, StepSchedule
from solos.errors import UserError
from solos.tasks import MhuTask, SopTask, make_task
from solos.training import CurriculumState, make_optimizer, make_schedule, train

EPOCHS = 3


def run(task, checkpoint, stop_after=None, epochs=EPOCHS):
    """Train from the same start; ``stop_after`` an epoch, the process "dies" in the next."""
    torch.manual_seed(1)
    network = build_network(task.recipe)
    records = []

    def progress(batches, description):
        if stop_after is not None and description == f"epoch {stop_after + 1}":
            raise KeyboardInterrupt
        return batches

    best = train(task, network, epochs, checkpoint, records.append, progress)
    return best, records, network.state_dict()


@pytest.fixture(params=["sop", "mhunet"])
def task(request, training_set, sop_recipe, mhu_recipe):
    recipe = {"sop": sop_recipe, "mhunet": mhu_recipe}[request.param]
    return make_task(recipe, 0, *training_set)


def test_each_recipe_has_its_task(training_set, sop_recipe, mhu_recipe):
    assert isinstance(make_task(sop_recipe, 0, *training_set), SopTask)
    assert isinstance(make_task(mhu_recipe, 0, *training_set), MhuTask)


def test_training_exports_the_best_epoch(task, tmp_path):
    best, records, _ = run(task, tmp_path / "last.pth")
    losses = [record["val_loss"] for record in records]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    assert best == {"epoch": losses.index(min(losses)), "val_loss": min(losses)}
    assert "train_loss" not in records[0]


def test_resumed_equals_uninterrupted(task, tmp_path):
    whole = run(task, tmp_path / "whole.pth")
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path / "cut.pth", stop_after=1)
    best, records, weights = run(task, tmp_path / "cut.pth")
    assert (best, records) == whole[:2]
    assert all(torch.equal(weights[name], whole[2][name]) for name in weights)


def test_no_epochs_exports_the_start(task, tmp_path):
    torch.manual_seed(1)
    start = build_network(task.recipe).state_dict()
    best, records, weights = run(task, tmp_path / "last.pth", epochs=0)
    assert best["epoch"] == 0 and len(records) == 1
    assert all(torch.equal(weights[name], start[name]) for name in start)


def test_a_loss_that_is_not_finite_is_named(task, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "loss", lambda network, batch: torch.tensor(math.nan))
    with pytest.raises(UserError, match="the loss is nan"):
        run(task, tmp_path / "last.pth")


def test_one_batch_can_be_learnt(task, tmp_path):
    """Forty steps on the same four mixes bring the loss below its start, which is that of chance.

    Sound of Pixels is slower: its two networks have to learn from each other.
    """
    bound = 0.8 if isinstance(task, SopTask) else 0.5
    batch = next(iter(torch.utils.data.DataLoader(task.train_mixes(1, 2), 4)))
    network = build_network(task.recipe)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = task.loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert max(losses[-5:]) < bound * losses[0]


def test_curriculum_rises_after_stagnant_epochs_and_stops():
    curriculum = Curriculum(start=2, stop=4, patience=3, min_delta=0.1)
    state = CurriculumState(2)
    levels = []
    for loss in [1.0, 0.8, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.6, 0.6, 0.6, 0.6, 0.6]:
        state.update(loss, curriculum)
        levels.append(state.max_src)
    # 0.75 is no improvement of 0.1 on 0.8: three of them raise the level, three more do again.
    assert levels == [2, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4]


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
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5]


def test_sop_groups_have_the_published_rates(training_set, sop_recipe):
    task = make_task(sop_recipe, 0, *training_set)
    network = build_network(sop_recipe)
    optimizer = make_optimizer(sop_recipe, task.parameter_groups(network))
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [sop_recipe.lr, sop_recipe.lr_trunk]
    counts = sum(len(group["params"]) for group in optimizer.param_groups)
    assert counts == len(list(network.parameters()))
