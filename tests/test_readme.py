"""The README's code runs and does what it says."""

import re
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_maps_of_the_course_are_the_notebooks_own(monkeypatch):
    """README and notebook 00; `python book/_ext/chapters.py` writes them anew."""
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    import chapters

    for name, folder, prefix in chapters.MAPS:
        assert chapters.renewed(name, folder, prefix) == (ROOT / name).read_text("utf-8")


def blocks():
    return re.findall(r"```python\n(.*?)```", README, re.S)


def test_a_model_is_kept_and_used_again(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {"torch": torch}
    exec(blocks()[1], names)
    x, model, again = torch.randn(3, 5), names["model"].eval(), names["again"]
    assert torch.equal(model.log_prob(x).value, again.log_prob(x).value)
    draws = [m.sample(3, generator=torch.Generator().manual_seed(0)) for m in (model, again)]
    assert torch.equal(*draws) and draws[0].shape == (3, 5)


def test_the_six_lines_train_a_pair(monkeypatch):
    block = blocks()[0]
    body = [line for line in block.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(body) <= 6
    losses = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: (losses.append(0), step(self)))
    torch.manual_seed(0)
    names = {}
    exec(block, names)
    x = torch.randn(500, 5)
    error = (names["decoder"](names["encoder"](x)) - x).square().sum(1).mean()
    assert len(losses) == 100 and error < 4.0  # the best two of five equal directions leave 3


def test_every_link_leads_to_a_file():
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(targets) >= 5
    for target in targets:
        assert (Path(__file__).parents[1] / target).exists(), target
