# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · The semicircle: a well without a bottom, and its cure
#
# **Question.** A decoder that may bend can squeeze the data together, and likelihood rewards that. Does the
# reconstruction error stop it? And what does it mean to "evaluate the encoder off the manifold"?

# %%
from companion.lab.frame import show
from figures.explorables import semicircle_curvature as explorable

show(explorable.opening(radius=1.0))

# %% [markdown]
# Grey: data. Black: a circle, the only manifold that this model knows; its solid half faces the data. Light
# lines: points that share a code, and that the decoder puts back onto the circle (orange). Descent may move
# the circle, and make it larger or smaller. Where does it end?
#
# After this notebook you can
#
# 1. write down both gradients for a circle and check them against the one-pass surrogate;
# 2. say whether any β bounds the first loss, and who falls into its well;
# 3. say where the second gradient leads instead, and why no loss has it as its gradient;
# 4. judge four variants of the surrogate on a network.

# %% tags=["parameters"]
profile = "quick"  # quick, standard or full
seed = 0
device = "cpu"
beta = 2.0  # = 1/(2σ²) = 1/(2γ)
radius = 0.1  # at the start

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.parameters import PROFILES, between, device_name, guard, seed_number

guard(
    globals(),
    profile=PROFILES,
    seed=seed_number,
    device=device_name,
    beta=between(0.001, 1000),
    radius=between(0.001, 5),
)

# %% [markdown]
# ## A circle as an autoencoder
#
# Put a circle of radius r about (m, 0). A point has a distance ρ to the centre and an angle θ. Its code
# is $z = s\theta$, and the decoder puts it back at distance r: an orthogonal projection, whatever m, r
# and s are. So the Jacobians of the two are pseudo-inverse: each undoes the other along the circle, and none
# sees a step across it. The paper's Fig. 2 gives no settings; ours are printed.

# %%
import torch

from companion import jacobians
from companion.theory import semicircle

x = explorable.make_data(seed)  # float64, standard deviations 0.1 and 1
p = semicircle.circle(explorable.CENTRE, radius, x)  # (m, log r, log s): codes of unit size
print(f"{len(x)} points, standard deviations {explorable.STD}, centre ({explorable.CENTRE}, 0)")


# %%
def encode(x):
    return semicircle.encode(x, p)


def decode(z):
    return semicircle.decode(z, p)


# %%
found = jacobians.defect(x, encode, decode)
assert max(float(part.abs().max()) for part in found) < 1e-10
print("the pair is pseudo-inverse at every point: its defect is zero")

# %% [markdown]
# ## Two gradients
#
# The loss on the manifold (MLAE eqs 13 and 17) is, up to a constant,
#
# $$\mathbb E\big[\tfrac12 s^2\theta^2 + \beta(\rho - r)^2\big] + \log r - \log s ,$$
#
# so that its log-volume has the gradient (0, 1, −1) in $(m, \log r, \log s)$. Taken at the data point
# instead (eq. 18) the encoder's Jacobian is s/ρ, not s/r, and that part becomes
#
# $$\mathbb E\big[\tfrac r\rho\,\partial(\log\rho - \log s)\big] =
#   \big(\mathbb E\,r\cos\theta/\rho^2,\; 0,\; -\mathbb E\,r/\rho\big).$$
#
# Both must be what `mlae_loss` follows on the same map:

# %%
from companion.models import mlae_loss

p.requires_grad_()
for at in ("manifold", "data"):
    loss = mlae_loss(x, encode, decode, beta, kind="basis", at=at).loss.mean()
    (gradient,) = torch.autograd.grad(loss, p)
    by_hand = semicircle.field(p.detach(), x, beta, at)
    assert torch.allclose(gradient, by_hand, atol=1e-10)
    print(f"{at:8} {by_hand.numpy().round(3)}")
p = p.detach()

# %% [markdown]
# ## Predict, then move
#
# Start small, at radius 0.1. On the manifold, at β = 2, the circle shrinks to a point, as the panel below shows.
# **Predict:** does β = 100 stop that?

# %%
prediction = None  # "yes" or "no": at radius 0.1, does β = 100 stop the collapse?

# %%
from companion.lab.widgets import explore

explore(explorable.EXPLORABLE, beta=beta, radius=radius)

# %%
from companion.lab.prediction import told

saved, tiny = (
    explorable.ending(explorable.path("manifold", 100.0, r).circles, x) != "collapsed"
    for r in (0.1, 0.002)
)

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
print(f"at radius 0.1: {'yes' if saved else 'no'}{told(prediction, 'yes', 'no')}")
print(f"from 0.002 it does {'not ' if tiny else ''}collapse at β = 100: the scale is 1/(2βEρ)")

# %% [markdown]
# ## A well at every β
#
# Give the scale its best value, $s^{-2} = \mathbb E\theta^2$. The negative log-likelihood (NLL), the part of the
# loss without β, is then $\tfrac12 + \log r + \text{const}$: it falls without bound as r → 0, for any data. The
# error is $\mathbb E(\rho - r)^2 \le \mathbb E\rho^2$: bounded. So β can shift the loss, but not hold it. In eq.
# 16's words: the entropy of the projected data has no lower bound.

# %%
for r in (1.0, 1e-2, 1e-4, 1e-8):
    nll, error = semicircle.terms(semicircle.circle(explorable.CENTRE, r, x), x)
    print(
        f"r = {r:<7g} NLL {nll:7.2f}   error {error:.3f}   loss at β = 100: {nll + 100 * error:7.2f}"
    )

# %%
from companion.lab.claims import claim

far = semicircle.circle(explorable.CENTRE, 1e-300, x)
nll, error = semicircle.terms(far, x)

# %%
losses = [float(nll + b * error) for b in (1.0, 10.0, 100.0)]
print("loss at r = 1e-300 for β = 1, 10, 100:", [f"{v:.0f}" for v in losses])

# %%
bottom = far.clone().requires_grad_()  # m, log r, log s
slopes = []
for b in (1.0, 10.0, 100.0):
    nll, error = semicircle.terms(bottom, x)
    slopes.append(torch.autograd.grad(nll + b * error, bottom)[0][1].item())
claim("mlae-4-loss-unbounded", slopes)

# %% [markdown]
# At β = 100 the bottom is only farther down: $\log r$ has to beat $100\,\mathbb E\rho^2$ once, and then
# it falls for ever.
#
# ## Who falls in
#
# With m fixed the slope in log r is $1 + 2\beta r(r - \mathbb E\rho)$. It is positive, so that descent
# shrinks r, below the smaller root: the edge of the well, about $1/(2\beta\,\mathbb E\rho)$.

# %%
import numpy as np

betas = np.geomspace(0.5, 100, {"quick": 12}.get(profile, 24))
radii = np.geomspace(0.005, 2, {"quick": 12}.get(profile, 24))

# %%
ends = explorable.descend(tuple(radii), tuple(betas))  # (side, beta, radius, times, 3)
words = [[[explorable.ending(c.numpy(), x) for c in row] for row in side] for side in ends]

# %%
edges = [semicircle.critical_radii(x, explorable.CENTRE, b) for b in betas]
inside = [(b, e.barrier) for b, e in zip(betas, edges, strict=True) if e]
line = tuple(np.transpose(inside))

# %%
from companion.lab.picture import Axis, Picture

start, predicted = Axis("radius at the start", "log"), (line, "predicted edge of the well")
panels = [
    explorable.phases(betas, radii, side, start, *predicted, title=f"{name} the manifold")
    for side, name in zip(words, ("on", "off"), strict=True)
]

# %% mystnb={"image": {"alt": "Where descent ends over beta and the starting radius: on the manifold a well below the predicted edge, off the manifold none."}}
collapsed = [sum(word == "collapsed" for row in side for word in row) for side in words]
of = f"Collapsed starts of {betas.size * radii.size}"
says = f"{of}: {collapsed[0]} on, {collapsed[1]} off the manifold."
show(Picture(panels, says, (8.6, 4.2)))

# %%
ratios = []
for (b, edge), row in zip(inside, words[0][len(betas) - len(inside) :], strict=True):
    fallen = [r for r, word in zip(radii, row, strict=True) if word == "collapsed"]
    if b >= 5 and fallen:
        ratios.append(max(fallen) * (radii[1] / radii[0]) ** 0.5 / edge)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
print(f"measured edge over predicted, β from 5 on: {min(ratios):.2f} to {max(ratios):.2f}")
print(f"the grid's step is a factor of {radii[1] / radii[0]:.2f}")

# %% [markdown]
# The formula holds the centre still; in the descent it moves, which at small β widens the well: there,
# everything falls in. From outside, both gradients flatten the arc.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-4-off-manifold-no-collapse", collapsed[1] == 0)
late = [float(e[..., -1, 1].min()) for e in ends]
print(f"smallest log r after {explorable.STEPS} steps: on {late[0]:.0f}, off {late[1]:.1f}")

# %% [markdown]
# ## Cured of divergence is not the same as flat
#
# In the paper's picture the cured manifold ends straight. Ours need not: from strongly bent starts, and at
# small β, it ends as a *closed circle* about the data. For a far centre and data N(0, diag(σx², σy²)) the
# curvature falls exactly if $\beta\sigma_y^2(\sigma_y^2 - 2\sigma_x^2) > \sigma_y^2 - \sigma_x^2$.
# Round data curl up at every β.

# %%
shares = np.linspace(0.05, 1.0, 12)  # σx/σy
cloud = x / x.std(0)
clouds = torch.stack([cloud * torch.tensor([s, 1.0], dtype=x.dtype) for s in shares])

# %%
begin = torch.stack([semicircle.circle(4.0, 3.0, c) for c in clouds]).expand(len(betas), -1, -1)
weights = torch.tensor(betas)[:, None].expand(begin.shape[:2])
last = semicircle.descend(begin, clouds, weights, "data", [0, {"quick": 3000}.get(profile, 10_000)])

# %%
grew = (last[1, ..., 0] > last[0, ..., 0]).numpy()  # the centre has moved farther away
words = np.where(grew, "flat arc", "closed circle").tolist()
straight = np.array([[semicircle.flattens(b, s, 1.0) for s in shares] for b in betas])
agree = (grew == straight).mean()

# %%
limit = np.array(
    [
        [b, max([s for s in np.linspace(0, 1, 500) if semicircle.flattens(b, s, 1.0)], default=0)]
        for b in betas
    ]
)

# %% mystnb={"image": {"alt": "Off the manifold, whether an arc flattens or curls up over beta and the aspect ratio of the data, with the predicted edge."}}
shape, title = Axis("σx/σy of the data"), "off the manifold, from a wide arc"
panel = explorable.phases(betas, shares, words, shape, limit.T, "predicted edge", title)
says = f"The arc flattens or curls up as predicted for {agree:.0%} of the grid."
show(Picture([panel], says, (4.8, 4.2)))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.claims import record

print(f"as predicted: {agree:.0%}")
record(flattening_as_predicted=float(agree))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-fig2-ends-flat", bool(grew.all()))

# %% [markdown]
# ## Not a gradient
#
# Which loss has the cured gradient? None. Walk round a rectangle in the plane of m and log r and add up
# field·step: for a gradient this is zero. Here the sum is
# $(r_2 - r_1)\big(\mathbb E\,1/\rho(m_2) - \mathbb E\,1/\rho(m_1)\big)$.

# %%
m, r = (1.2, 2.5), (0.4, 1.5)
corners = torch.tensor([[m[i], np.log(r[j])] for i, j in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))])
t = torch.linspace(0, 1, 1000, dtype=x.dtype)[:, None]


# %%
def around(at):
    total = 0.0
    for a, b in zip(corners[:-1], corners[1:], strict=True):
        way = torch.cat([a + t * (b - a), torch.zeros_like(t)], dim=-1)  # at log s = 0
        along = semicircle.field(way, x, beta, at)[:, :2] @ (b - a)
        total += float(torch.trapezoid(along, t[:, 0]))
    return total


# %%
expected = semicircle.circulation(x, m, r)
assert abs(around("data") - expected) < 1e-3 and abs(around("manifold")) < 1e-3
print(f"on the manifold {around('manifold'):.4f}, off it {around('data'):.4f} = {expected:.4f}")

# %% [markdown]
# So there is no loss value to watch. Watch the exact NLL and the reconstruction error instead, and do not
# expect the two to fall together.
#
# ## A network
#
# The sinusoid of notebook 02 at β = 1, with the log-volume's gradient sent to the encoder or the decoder
# (Table 3), taken on or off the manifold. **Predict:** which of the four stay an autoencoder?

# %%
stay = None  # such as "off, encoder and on, encoder"

# %% [markdown]
# The network and the training, as in notebook 02:

# %%
from companion.models import MLAE
from companion.networks import MLP

torch.manual_seed(seed)
layers = {"hidden": (64, 64, 64), "residual": True}  # with a linear skip
model = MLAE(MLP(2, 1, **layers), MLP(1, 2, **layers), data_shape=(2,), latent_dim=1, beta=1.0)

# %%
from companion.training import TrainConfig, fit

config = TrainConfig(epochs=50, batch_size=256, learning_rate=5e-3, seed=seed, device="cpu")

# %%
from companion.lab.same import same
from figures.explorables import sinusoid

assert same(model, sinusoid.make_model(1.0, seed)) and config == sinusoid.make_config(seed)
print("as in the package, from which the four variants take them")

# %%
from dataclasses import replace

epochs = {"quick": 12}.get(profile, 50)


# %%
def run(at, side, seed):
    model = sinusoid.make_model(1.0, seed)
    model.options |= {"at": at, "side": side}
    config = replace(sinusoid.make_config(seed), epochs=epochs, device=device)
    fit(model, sinusoid.make_data(0.1, seed), None, config, progress=False)
    return model.cpu().eval()


# %%
sides = [(at, side) for at in ("data", "manifold") for side in ("encoder", "decoder")]
seeds = range(seed, seed + {"quick": 3}.get(profile, 5))
models = {key: [run(*key, seed=s) for s in seeds] for key in sides}

# %%
names = {"data": "off", "manifold": "on"}
errors, defects = {}, {}
for key, trained in models.items():
    results = [sinusoid.measure(model, 0.1) for model in trained]
    points = torch.tensor(results[0].points, dtype=torch.float32)
    pairs = [jacobians.defect(points, model.encode, model.decode).identity for model in trained]
    errors[key] = np.array([one.reconstruction for one in results])
    defects[key] = np.array([float(pair.median()) for pair in pairs])

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
for at, side in sides:
    error, defect = errors[at, side], defects[at, side]
    print(
        f"{names[at]:3} the manifold, {side}: error {error.min():.3f} … {error.max():.3f}, ", end=""
    )
    print(f"median |f'g' − 1| {defect.min():.2f} … {defect.max():.2f}")
print(f"all at β = 1 and noise 0.1{told(stay)}")

# %%
from companion.lab.provenance import made

others = np.min([errors[key] for key in sides[1:]], axis=0)  # of the same seed
one = models[sides[0]][0], sinusoid.make_data(0.1, 0), sinusoid.make_config(0, epochs)
by = made("noisy sinusoid, σ = 0.1", *one, seeds=seeds)

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
claim("mlae-4-off-encoder-most-stable", errors["data", "encoder"] / others, by)
record(error_by_variant=[float(v.mean()) for v in errors.values()])

# %% [markdown]
# The networks do not fall into the circle's well: their curvature stays finite. What goes wrong first is
# the *pair*. Where encoder and decoder stop being pseudo-inverse, the surrogate follows a wrong gradient,
# and nothing calls it back. At β = 10 all four agree (exercise 3).
#
# ## Exercises
#
# **1.** At which β is there no edge of the well at all, for a fixed centre? Derive it from the slope.
#
# <details><summary>Solution</summary>
#
# 1 + 2βr(r − Eρ) has real roots only for (Eρ)² ≥ 2/β. Below β = 2/(Eρ)² the slope is positive at every r.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
rho = (x - torch.tensor([explorable.CENTRE, 0.0])).norm(dim=1).mean()
limit = 2 / float(rho) ** 2

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
assert semicircle.critical_radii(x, explorable.CENTRE, 0.99 * limit) is None
print(
    f"no edge below β = {limit:.2f}; just above: {semicircle.critical_radii(x, explorable.CENTRE, 1.01 * limit)}"
)

# %% [markdown]
# **2.** Off the manifold, what are r and s where the field vanishes in log r and log s?
#
# <details><summary>Solution</summary>
#
# The log-volume has no part in log r, so r = Eρ; in log s, s²Eθ² = E[r/ρ], a little above one.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
end = torch.tensor(explorable.path("data", 2.0, 0.1).circles[-1])
rho = (x - torch.tensor([float(end[0]), 0.0])).norm(dim=1)
print(f"from radius 0.1 at β = 2: r = {end[1].exp():.3f}, Eρ = {rho.mean():.3f}")

# %% [markdown]
# **3.** Train the four variants at β = 10 and compare their errors.
#
# <details><summary>Solution</summary>
#
# Change `make_model(1.0, seed)` to `make_model(10.0, seed)` above: all four end near the noise, 0.02. With
# enough β the pair stays pseudo-inverse on the data, and there all variants estimate the same gradient.
#
# </details>
#
# ## Recall
#
# 1. Why does the on-manifold loss have no lower bound, at any β?
# 2. What decides whether a start falls into the well?
# 3. What is the difference between eq. 12 and eq. 18 for the circle, in one factor?
# 4. Name two ways in which an off-manifold run may end.
# 5. How does one show that a field is no gradient?
# 6. What fails first in a network?

# %% [markdown]
# <details><summary>Answers</summary>
#
# 1. The NLL contains log r, and the error stays below Eρ² as r → 0.
# 2. Its radius against 1/(2βEρ), as long as the centre stays.
# 3. The encoder's Jacobian is s/r at the projection and s/ρ at the data point: a factor r/ρ.
# 4. As a flattening arc, or as a closed circle about the data.
# 5. By a closed loop along which it does not add up to zero.
# 6. The pair: encoder and decoder are no longer inverse to each other where the data are.
#
# </details>

# %% [markdown]
# ## Summary
#
# - On the manifold the well is there at every β; β only decides how small one must be to fall in.
# - Off the manifold there is none, but flat is only one of its ends: data and start decide.
# - The cured field is no gradient: there is no loss to watch, only NLL and reconstruction error.
#
# ## References
#
# MLAE: Sorrenson et al. (2023), §4.2 with eqs 11 to 18, Fig. 2, Table 3. Brehmer and Cranmer (2020), *Flows
# for simultaneous manifold learning and density estimation*, on likelihoods that a manifold can cheat.
