"""The synthetic faces: their dimension, their density and their colours are what they say."""

import pytest
import torch
from torch.func import jacfwd

from companion.data import images
from companion.data.faces import FACTORS, Faces


def factors(faces, n, seed=0):
    return faces.sample_factors(n, torch.Generator().manual_seed(seed), torch.float64)


@pytest.mark.parametrize("size", [32, 64])
def test_the_dimension_of_the_faces_is_the_number_of_factors(size):
    faces = Faces(size)
    for f in factors(faces, 12):
        jacobian = jacfwd(lambda one: faces.render(one[None]).flatten())(f)
        values = torch.linalg.svdvals(jacobian)
        assert faces.dim == len(values) == 10 and values[-1] > 1e-3 * values[0]


def test_different_factors_give_different_faces():
    faces = Faces(32)
    f = factors(faces, 300)
    apart = torch.cdist(faces.render(f).flatten(1), faces.render(f).flatten(1))
    ratio = (apart / torch.cdist(f, f))[~torch.eye(300, dtype=bool)]
    assert ratio.min() > 0.1  # no two far factors meet in one face


@pytest.mark.parametrize("name", FACTORS)
def test_each_factor_changes_the_face_smoothly(name):
    faces = Faces(32, (name,))
    f = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None].requires_grad_()
    weights = torch.randn(3 * 32 * 32, generator=torch.Generator().manual_seed(0)).double()
    assert torch.autograd.gradcheck(lambda t: faces.render(t).flatten(1) @ weights, f)
    steps = faces.render(f).diff(dim=0).flatten(1).norm(dim=1)
    assert steps.min() > 0.02


def test_the_density_is_the_slow_one():
    faces = Faces(32, ("turn", "smile", "hue"))
    f, step = factors(faces, 4), 1e-5
    for one, got in zip(f, faces.log_prob(f), strict=True):
        move = step * torch.eye(3, dtype=torch.float64)
        ahead, behind = faces.render(one + move), faces.render(one - move)
        jacobian = (ahead - behind).flatten(1) / (2 * step)
        prior = torch.distributions.Normal(0, 1).log_prob(one).sum()
        assert torch.allclose(got, prior - 0.5 * torch.logdet(jacobian @ jacobian.T), atol=1e-6)


def test_colours_are_colours_even_far_out():
    faces = Faces(32)
    x = faces.render(torch.cat([factors(faces, 200), 50 * factors(faces, 50)]))
    assert x.min() >= 0 and x.max() <= 1 and x.std() > 0.1


def test_a_choice_of_factors_leaves_the_others_at_their_mean():
    few, all_ = Faces(32, ("smile", "turn")), Faces(32)
    f = torch.tensor([[0.3, -1.0]])
    whole = torch.zeros(1, 10)
    whole[0, FACTORS.index("smile")], whole[0, FACTORS.index("turn")] = 0.3, -1.0
    assert torch.equal(few.render(f), all_.render(whole))


def test_faces_are_seeded_and_labelled_synthetic():
    faces = Faces(32)
    x, f = faces.sample(40, torch.Generator().manual_seed(3))
    again, _ = faces.sample(40, torch.Generator().manual_seed(3))
    assert torch.equal(x, again) and x.dtype == torch.uint8 and f.shape == (40, 10)
    assert (x - 255 * faces.render(f)).abs().max() < 0.51  # at once, as in parts
    splits = images.load("synthetic-faces", size=32, seed=3)
    assert splits.name == "synthetic faces" and "no photographs" in splits.note
    f = faces.sample_factors(3000, torch.Generator().manual_seed(3))
    assert torch.equal(splits.train.x[:16], faces.images(f[:16]))
    assert [tuple(part.x.shape) for part in splits[1:4]] == [
        (n, 3, 32, 32) for n in (2000, 500, 500)
    ]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"factors": ("turn", "age")}, "factors must be some of .*'turn', 'nod'.*got .*'age'"),
        ({"factors": ("turn", "turn")}, "factors must be some of"),
        ({"factors": ()}, "factors must be some of"),
        ({"size": 4}, "size must be at least 8, got 4"),
    ],
)
def test_bad_choices_are_refused(options, message):
    with pytest.raises(ValueError, match=f"Faces: {message}"):
        Faces(**options)
