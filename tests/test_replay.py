"""Recorded steps are the steps: every model trained with and without a CUDA graph."""

import pytest
import torch
from helpers import data
from test_models import MODELS
from torch.optim import SGD

from companion.training.replay import WARM_UP, Replay, _Operations, _uncompiled
from companion.training.stream import Step

ONE_BY_ONE = {  # conjugate gradients look at residuals; singular values take memory
    "rectangular",
    "rectangular exact",
    "rectangular with free networks",
    "relaxed flow spectral",
    "autoencoder spectral",
}
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def trained(name, replayed, steps=WARM_UP + 5):
    """A model after some steps on the GPU, its summed losses, and how it took the steps.

    Plain gradient steps: Adam makes a step of a gradient that is zero but for rounding.
    """
    make, condition_dim = MODELS[name]
    torch.manual_seed(0)
    model = make().cuda().train()
    x = data((steps, *model.data_shape), batch=8).float().sigmoid().cuda().movedim(1, 0)
    c = data((condition_dim,), batch=8, seed=4).float().cuda() if condition_dim else None
    optimizer, chance = SGD(model.parameters(), 1e-3), torch.Generator("cuda").manual_seed(0)
    model.prepare(x[0])

    def run(step):
        optimizer.zero_grad()
        terms = model.loss(step.x, step.condition, **step.draws)
        terms.loss.mean().backward()
        return terms

    gradients, total = Replay(run, model.parameters(), model.buffers()) if replayed else run, 0.0
    for i, batch in enumerate(x):
        model.advance(i / steps, 0)
        terms = gradients(Step(batch, c, model.draw(batch, chance)))
        total = total + terms.loss.detach().mean()
        optimizer.step()
    return model, total, gradients


@pytest.mark.gpu
@needs_cuda
@pytest.mark.filterwarnings("ignore:layer", "error:fit")
@pytest.mark.parametrize("name", MODELS)
def test_a_replayed_training_is_the_training(name):
    model, total, gradients = trained(name, True)
    plain, expected, _ = trained(name, False)
    assert (gradients.graph is None) == (name in ONE_BY_ONE)
    assert torch.allclose(total, expected, rtol=1e-5)
    states = model.state_dict(), plain.state_dict()
    for (key, ours), theirs in zip(states[0].items(), states[1].values(), strict=True):
        assert torch.allclose(ours.float(), theirs.float(), rtol=1e-4, atol=1e-6), key


@pytest.mark.gpu
@needs_cuda
def test_a_step_of_another_shape_is_not_replayed():
    model, _, gradients = trained("mlae", True)
    x = data(model.data_shape, batch=5).float().cuda()
    few = Step(x, None, model.draw(x))
    assert len(gradients(few).loss) == 5
    foreign = [p.grad.clone() for p in model.parameters()]
    x = data(model.data_shape, batch=8, seed=9).float().cuda()
    terms = gradients(Step(x, None, draws := model.draw(x)))
    ours = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    expected = model.loss(x, **draws)
    expected.loss.mean().backward()
    assert torch.allclose(terms.loss, expected.loss)
    for ours_, theirs, other in zip(ours, model.parameters(), foreign, strict=True):
        assert torch.allclose(ours_, theirs.grad, atol=1e-6) and not torch.equal(ours_, other)


def test_a_model_elsewhere_is_refused():
    with pytest.raises(ValueError, match="must be on a CUDA device, got cpu"):
        Replay(lambda step: None, MODELS["mlae"][0]().parameters())


def test_a_compiled_loss_that_was_watched_stays_compiled():
    """As a step is tried before it is recorded; without a stance it ran uncompiled ever after."""
    runs = []

    def backend(module, inputs):
        return lambda *args: runs.append(1) or module(*args)

    loss = torch.compile(lambda x: (x @ x.mT).sum(), backend=backend)
    x = torch.ones(3, 3)
    loss(x)
    with _uncompiled(), _Operations() as seen:
        loss(x)
    assert len(runs) == 1 and "mm" in seen.names
    loss(x)
    assert len(runs) == 2
