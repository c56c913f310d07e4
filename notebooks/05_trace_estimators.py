# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · Trace estimators: how much can one random vector tell?
#
# **Question.** The gradient of a log-volume is a trace. We estimate it with one random vector per sample, a
# *probe*, where an exact answer needs one for each latent dimension. How wrong is that, and when does it matter?

# %%
from companion.lab.frame import show
from companion.lab.picture import Axis, Panel, Picture
from figures.explorables import trace_probes as traces

one = traces.numbers(0, kind=2, num_probes=1, size=8, spectrum=1)
words = f"Estimates of the trace {one.trace:g} spread by {one.estimates.std():.1f} around it."
picture = Picture([traces.estimated(one, reach=9, title="one probe each")], words, (4.6, 3.3))
show(picture)

# %% [markdown]
# Many estimates of the trace of one 8×8 matrix, each from one random vector. What decides how far they spread?
#
# After this notebook you can
#
# 1. derive an unbiased estimate of a trace, and its variance for four kinds of probes;
# 2. say why the trace is taken in latent space, and why probes of one sample should be orthogonal;
# 3. tell what the four variants and three modes of automatic differentiation share and what not;
# 4. choose the number of probes and the share of the batch for the least compute.
#
# It takes about a minute at the `quick` profile on two CPU cores.

# %% tags=["parameters"]
profile = "quick"  # quick, standard or full
seed = 0
device = "cpu"
beta = 2.0  # weight of the reconstruction error of the digits model
num_probes = 1  # K, where the slider starts
kind = "sphere"  # gaussian, rademacher, sphere or orthogonal: where the slider starts

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.parameters import PROFILES, between, device_name, guard, seed_number

guard(
    globals(),
    profile=PROFILES,
    seed=seed_number,
    device=device_name,
    beta=between(0.001, 1000),
    num_probes=traces.COUNTS,
    kind=traces.KINDS,
)

# %% [markdown]
# ## One number from one vector
#
# Take a random $v$ with $E[vv^\top] = 1$. Then
#
# $$E[v^\top A v] = E[\operatorname{tr}(A\,vv^\top)] = \operatorname{tr}(A\,E[vv^\top]) = \operatorname{tr}A ,$$
#
# and $K$ probes are averaged. Four kinds have this property: *gaussian*, of standard normal entries;
# *rademacher*, of random signs; *sphere*, Gaussian ones scaled to the length √d; *orthogonal*, which are also at
# right angles to each other where there are several.
#
# ## Predict, then move
#
# All eigenvalues of $A$ are equal. Which kinds of probe give the exact trace with a single vector?

# %%
prediction = None  # a set of kinds, such as {"gaussian", "sphere"}

# %%
from companion.lab.widgets import explore

explore(traces.EXPLORABLE, kind=traces.KINDS.index(kind), num_probes=num_probes, size=8, spectrum=1)

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
import torch

from companion.lab.prediction import told
from companion.theory.variance import trace_variance

exact = {k for k in traces.KINDS if trace_variance(torch.eye(8, dtype=torch.float64), k, 1) < 1e-12}
print(f"exact: {', '.join(sorted(exact))}{told(prediction)}")

# %% [markdown]
# *Sphere* cannot be fooled by a multiple of the identity: only the *spread* of the eigenvalues counts.
# *Rademacher* cannot be fooled by a diagonal. A plain Gaussian is fooled by both.
#
# ## How far off?
#
# The variance of a single estimate depends on the kind of vector (MLAE App. D.3), and only the symmetric part of
# $A$ counts: for a skew matrix $v^\top A v = 0$ always.

# %%
A = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

# %%
symmetric = (A + A.T) / 2
eigenvalues, d = torch.linalg.eigvalsh(symmetric), len(A)
off_diagonal = symmetric - torch.diag(symmetric.diagonal())

# %%
by_hand = {
    "gaussian": 2 * symmetric.square().sum(),
    "rademacher": 2 * off_diagonal.square().sum(),
    "sphere": 2 * d**2 / (d + 2) * eigenvalues.var(correction=0),
}

# %%
for name, value in by_hand.items():
    assert torch.allclose(value, trace_variance(A, name))
    found = traces.estimates(A, name, 1, 20000, seed)
    print(f"{name:10} variance {value:5.2f}, of 20000 estimates {found.var():5.2f}")

# %% [markdown]
# ## Orthogonal probes
#
# Independent probes look in similar directions by accident. Orthogonal ones do not, and a full set of $d$
# sees everything. Their variance is that of the sphere, times $(d-K)/(d-1)$ (eq. 114), and 0 at $K = d$.

# %%
for k in (1, 2, 4, 6):
    ratio = trace_variance(A, "orthogonal", k) / trace_variance(A, "sphere", k)
    assert torch.allclose(ratio, torch.tensor((d - k) / (d - 1), dtype=torch.float64))
    found = traces.estimates(A, "orthogonal", k, 20000, seed).var()
    print(f"K = {k}: {ratio:.2f} of the sphere's variance; {found:.2g} in 20000 estimates")

# %% [markdown]
# ## A trained model
#
# What are the matrices in practice? For the surrogate of notebook 01, $A = \partial f'\,g'$, one for each
# parameter of the network; nobody writes them down. So judge the whole gradient at once, on digits with their
# labels as the condition, as the paper does (Fig. 5): the distance of an estimate $\hat G$ from the gradient $G$
# with a full set of probes, $\lVert\hat G - G\rVert/\lVert G\rVert$ (eq. 89). The model itself is judged by its
# reconstruction error and its negative log-likelihood (NLL), in nats, the unit of natural logarithms.

# %%
from companion.contracts import as_float
from companion.data import images

data = images.load("digits", seed=seed)

# %%
x, labels = as_float(data.train.x), images.one_hot(data.train.y, 10)
x_valid, labels_valid = as_float(data.valid.x), images.one_hot(data.valid.y, 10)
latent = 8


# %%
from companion.models import MLAE
from companion.networks import MLP
from companion.training import TrainConfig, fit


def make_model(seed, **options):
    torch.manual_seed(seed)
    nets = {"hidden": (128, 128), "condition_dim": 10, "residual": True}
    shape = tuple(x.shape[1:])
    pair = MLP(shape, latent, **nets), MLP(latent, shape, **nets)
    return MLAE(*pair, shape, latent, beta=beta, **options)


# %%
epochs = {"quick": 60}.get(profile, 300)
config = TrainConfig(
    epochs=epochs, batch_size=128, learning_rate=2e-3, noise=0.1, seed=seed, device=device,
    validate_every=max(1, epochs // 20), log_defect=True,
)  # fmt: skip

# %%
model = make_model(seed)
log = fit(model, x, x_valid, config, condition=labels, valid_condition=labels_valid, progress=False)
print(f"error {log.rows[-1]['valid_reconstruction']:.2f}, NLL {log.rows[-1]['valid_nll']:.1f}")

# %%
from companion import volume

model = model.cpu().double().eval()
parameters = list(model.encoder.parameters())

# %%
draws = {"quick": 5}.get(profile, 20)
exact_x, exact_labels = x.double(), labels.double()


# %%
def distance(batch, **options):
    generator = torch.Generator().manual_seed(seed)
    maps, part = (model.encode, model.decode), (exact_x[:batch], exact_labels[:batch])
    return volume.gradient_distance(
        part[0], *maps, parameters, part[1], draws, generator, **options
    ).numpy()


# %%
import numpy as np

latent_counts, data_counts = (1, 2, 4, 6, 8), (1, 2, 4, 8, 16, 32, 64)
batches = (1, 16, 128)

# %%
in_data = {
    f"batch {b}": np.stack([distance(b, num_probes=k, space="data") for k in data_counts])
    for b in batches
}

# %%
in_latent = {
    f"batch {b}": np.stack([distance(b, num_probes=k) for k in latent_counts]) for b in batches
}
independent = np.stack([distance(1, num_probes=k, kind="sphere") for k in latent_counts])

# %% mystnb={"image": {"alt": "Relative distance of the estimated gradient from the exact one against the number of probes, for three batch sizes: in data space it falls slowly to zero at 64 probes, in latent space it is lower and zero at 8."}}
curves = in_latent | {"batch 1, independent": independent}
near = traces.distances(data_counts, in_data, "trace in data space, D = 64")
far = traces.distances(latent_counts, curves, "trace in latent space, d = 8")
words = "; ".join(f"{name} {values[0].mean():.2f}" for name, values in in_latent.items())
show(Picture([near, far], f"Distance with one probe in latent space: {words}."))

# %% [markdown]
# Mind the two vertical axes. In latent space one probe already does what takes many in data space; a larger
# batch helps as each sample has its own probe; a full set is exact.

# %%
from companion.lab.claims import claim

shared = [k for k in latent_counts[:-1] if k in data_counts]
ratios = [
    in_latent[n][latent_counts.index(k)].mean() / in_data[n][data_counts.index(k)].mean()
    for n in in_latent for k in shared
]  # fmt: skip

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-fig5-latent-below-data", ratios)
claim("mlae-fig5-exact-at-full", float(max(v[-1].max() for v in in_latent.values())))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
orthogonal = in_latent["batch 1"]
claim("mlae-fig5-orthogonal-below", list(orthogonal[1:-1].mean(1) / independent[1:-1].mean(1)))
claim("mlae-fig5-batch-helps", in_latent["batch 128"][0].mean() / orthogonal[0].mean())

# %% [markdown]
# The reason is size: for matrices of standard normals, $E\lVert A^\top B\rVert_F^2 = Dd^2$ in latent space
# and $D^2d$ in data space (Theorem D.1), and variances follow the squared norm.

# %%
from companion.theory.variance import product_norms

many = {"dtype": torch.float64, "generator": torch.Generator().manual_seed(seed)}
a, b = torch.randn(400, 64, 8, **many), torch.randn(400, 64, 8, **many)

# %%
means = [p.square().sum((1, 2)).mean() for p in (a.mT @ b, b @ a.mT)]
shares = [float(m) / e for m, e in zip(means, product_norms(64, 8), strict=True)]
print(f"measured {means[0]:.0f} and {means[1]:.0f}, predicted {product_norms(64, 8)}")
claim("mlae-d1-norms", shares)

# %% [markdown]
# ## Four variants, three modes
#
# The trace can be written with $f'$ or $g'$ kept in the gradient (*side*) and in either order (*space*): the
# paper's Table 3. And each product can go backward (vᵀJ) or forward (Jv) through a network (*mode*).
#
# **Predict:** with the same probes, which of the three choices changes the gradient of a single estimate:
# the mode, the space, the side?

# %%
changes_it = None  # a set, such as {"mode"}, of "mode", "space", "side"

# %%
from itertools import product

from companion import probes

part, part_labels = exact_x[:64], exact_labels[:64]
everything = list(model.parameters())
likes = {"latent": torch.zeros(64, latent).double(), "data": part}

# %%
vectors = {
    space: probes.sample("sphere", 1, like, torch.Generator().manual_seed(seed))
    for space, like in likes.items()
}


# %%
def gradient(side, space, mode, **options):
    options = options or {"probes": vectors[space]}
    out = volume.surrogate(
        part, model.encode, model.decode, part_labels, side=side, space=space, mode=mode, **options
    )
    grads = torch.autograd.grad(
        out.surrogate.mean(), everything, materialize_grads=True, allow_unused=True
    )
    return torch.cat([g.flatten() for g in grads])


# %%
SIDES, SPACES, MODES = ("encoder", "decoder"), ("latent", "data"), ("mixed", "backward", "forward")
single = {key: gradient(*key) for key in product(SIDES, SPACES, MODES)}


# %%
def apart(one, other):
    return float((single[one] - single[other]).norm() / single[other].norm())


# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
base = ("encoder", "latent", "mixed")
modes = max(apart((s, p, m), (s, p, "mixed")) for s, p, m in product(SIDES, SPACES, MODES))
print(f"mode: at most {modes:.0e} apart")

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
print(
    f"space: {apart(('encoder', 'data', 'mixed'), base):.2f} apart, with a probe of the other space"
)
print(f"side: {apart(('decoder', 'latent', 'mixed'), base):.2f} apart")
print(f"so not the mode, but space and side{told(changes_it)}")

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
claim("mlae-d2-modes-agree", modes)

# %% [markdown]
# Full sets of probes leave no chance: then the two spaces agree as well, since tr(AB) = tr(BA).

# %%
whole_sets = {
    space: gradient("encoder", space, "mixed", num_probes=n, kind="basis")
    for space, n in (("latent", latent), ("data", 64))
}

# %%
gap = (whole_sets["latent"] - whole_sets["data"]).norm() / whole_sets["latent"].norm()
assert gap < 1e-10
print(f"space, with full sets: {gap:.0e} apart")

# %% [markdown]
# The sides are different things. Take one matrix $A$ as encoder and as decoder its pseudo-inverse
# $A^+ = A^\top(AA^\top)^{-1}$, the right inverse that projects at right angles, so that both sides move the same
# parameters: their gradients have *opposite* signs, as the decoder's volume is one over the encoder's. Table 3
# prints a minus for both; with it, the decoder's side would *lower* the likelihood (its decoder column also has
# g′(x) for g′(z)).

# %%
tied = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
tied.requires_grad_()
points = torch.randn(20, 5, dtype=torch.float64)


# %%
def tied_gradient(side, disturbance=0.0):
    maps = (lambda p: p @ tied.T), (lambda z: z @ (torch.linalg.pinv(tied).T + disturbance))
    out = volume.surrogate(points, *maps, num_probes=2, kind="basis", side=side)
    return torch.autograd.grad(out.surrogate.mean(), tied)[0]


# %%
one, other = tied_gradient("encoder"), tied_gradient("decoder")
(truth,) = torch.autograd.grad(-0.5 * torch.logdet(tied @ tied.T), tied)
table_3 = torch.cosine_similarity(-other.flatten(), truth.flatten(), dim=0)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
print(f"encoder side + decoder side: {(one + other).abs().max():.0e}")
print(f"cosine of Table 3's decoder column with the gradient of −log-volume: {table_3:.2f}")
claim("mlae-table3-decoder-sign", float(table_3))

# %%
skew = 0.3 * torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
rest = tied_gradient("encoder", skew) + tied_gradient("decoder", skew)
print(f"with another decoder the two sides no longer cancel: {rest.abs().max():.2f}")

# %% [markdown]
# What do the twelve cost, and how noisy are they? Processor times, medians of steps taken in turns, over that of the
# variant that the paper and this package use.

# %%
import time


def timed(key):
    begin = time.thread_time()
    gradient(*key)
    return time.thread_time() - begin


# %%
rounds = {"quick": 5}.get(profile, 25)
seconds = {key: [] for key in single}
for _, key in product(range(rounds + 1), single):
    seconds[key].append(timed(key))
cost = {key: np.median(times[1:]) / np.median(seconds[base][1:]) for key, times in seconds.items()}

# %%
noise = {}
for side, space in product(SIDES, SPACES):
    own = list((model.encoder if side == "encoder" else model.decoder).parameters())
    found = volume.gradient_distance(
        part, model.encode, model.decode, own, part_labels, draws,
        torch.Generator().manual_seed(seed), side=side, space=space, num_probes=1,
    )  # fmt: skip
    noise[side, space] = float(found.mean())

# %%
print("side     space   noise   " + "".join(f"{mode:>10}" for mode in MODES))
for side, space in product(SIDES, SPACES):
    costs = "".join(f"{cost[side, space, mode]:10.2f}" for mode in MODES)
    print(f"{side:8} {space:7} {noise[side, space]:5.2f}   {costs}")

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-d2-backward-faster", cost["encoder", "latent", "backward"])

# %% [markdown]
# (Noise: the distance of eq. 89 with one probe. Cost 1.00: encoder, latent, mixed.)
#
# ## Probes that are not zero-mean
#
# The paper takes the Q of a QR decomposition and does not fix its signs, "since multiplying by −1 has no
# effect" on $v^\top Av$ (App. D.3.5). True for one sample. But batch normalisation couples the samples: the
# estimate then holds cross terms $v_i^\top A_{ij} v_j$ of different samples, which vanish only if the
# probes' mean does.

# %%
torch.manual_seed(seed)
norm = torch.nn.BatchNorm1d(8)
norm.num_batches_tracked = None  # torch.func forbids counting in place
network = torch.nn.Sequential(torch.nn.Linear(3, 8), norm, torch.nn.Tanh(), torch.nn.Linear(8, 3))
network, batch = network.double(), torch.randn(64, 3, dtype=torch.float64)

# %%
whole_jacobian = torch.func.jacrev(network)(batch)  # (64, 3, 64, 3): samples are coupled
own_blocks = whole_jacobian.diagonal(dim1=0, dim2=2).diagonal(dim1=0, dim2=1)  # (64, 3)
exact_trace = float(own_blocks.sum(1).mean().detach())


# %%
def estimate(v):
    return float((v * torch.func.jvp(network, (batch,), (v,))[1]).sum(1).mean().detach())


# %%
def unsigned(generator):
    normal = torch.randn(64, 3, 1, dtype=torch.float64, generator=generator)
    return torch.linalg.qr(normal).Q[..., 0] * 3**0.5


# %%
def signed(generator):
    return probes.sample("orthogonal", 1, batch, generator)[0]


# %%
chance, found = torch.Generator().manual_seed(seed), {}
for name, draw in {"unsigned QR": unsigned, "zero-mean": signed}.items():
    runs = np.array([estimate(draw(chance)) for _ in range(500)])
    error = runs.std() / len(runs) ** 0.5
    found[name] = (runs.mean() - exact_trace) / error
    print(f"{name:12} {runs.mean():.3f} ± {error:.3f}, exact {exact_trace:.3f}")
print(f"mean of the unsigned probes: {unsigned(chance).mean(0).numpy().round(2)}")

# %% tags=["hide-input"] jupyter={"source_hidden": true}
print(f"zero-mean: {abs(found['zero-mean']):.1f} standard errors off, by chance below 4")
claim("mlae-d35-signs-do-not-matter", abs(found["unsigned QR"]))

# %% [markdown]
# More samples do not cure it: the cross terms are as many as pairs of samples. Fixing the signs does, and so
# does any kind that is zero-mean.
#
# ## Along training: bias and noise
#
# Two things stand between the estimate and the gradient of the likelihood. *Noise*, this notebook's subject,
# averages out. *Bias* does not: the encoder is not exactly the decoder's pseudo-inverse (notebook 01). The
# cosine between the surrogate's expected gradient and the exact one, along the run above:

# %% mystnb={"image": {"alt": "Cosine between the expected surrogate gradient and the exact one over the epochs of training the digits model."}}
from companion.lab.marks import Line, Points, Rule

cosines = log.column("gradient_cosine")
cosine = Axis("cosine to the exact gradient", limits=(min(cosines) - 0.01, 1.01))
panel = Panel([Line(*log.curve("gradient_cosine"))], Axis("epoch"), cosine)
says = f"The cosine goes from {cosines[0]:.3f} to {cosines[-1]:.3f}."
show(Picture([panel], says, (4.6, 2.8)))

# %%
print(
    f"at the end: cosine {cosines[-1]:.3f}, that is {np.degrees(np.arccos(cosines[-1])):.0f}° of bias"
)
one_probe = in_latent["batch 128"][0].mean()
print(f"one probe, batch 128: about {np.degrees(np.arctan(one_probe)):.0f}° of noise in each step")

# %% [markdown]
# ## How many probes pay?
#
# With $K$ probes on a share $m/B$ of the batch, scaled up so that the mean stays right, a step costs about
# $1 + \tfrac23 K m/B$ of a plain autoencoder's in matrix products. Fewer are cheaper but noisier. Which
# setting reaches a given quality for the least compute?
#
# **Predict:** all probes on all samples, one probe on all, or one on a tenth of the samples?

# %%
cheapest = None  # "all on all", "one on all" or "one on a tenth"

# %%
settings = {
    "one on a tenth": {"fraction": 0.1},
    "one on all": {},
    "three on all": {"num_probes": 3},
    "all on all": {"num_probes": latent},
}

# %%
price = {
    name: 1 + 2 / 3 * s.get("num_probes", 1) * s.get("fraction", 1.0)
    for name, s in settings.items()
}


# %%
from dataclasses import replace

runs = {"quick": 3}.get(profile, 5)
length = {"quick": 28}.get(profile, 200)

# %%
steady = replace(
    config, epochs=length, validate_every=4, schedule="constant", learning_rate=2e-3,
    log_defect=False,
)  # fmt: skip


# %%
def objective(options, seed):
    trained = make_model(seed, **options)
    history = fit(
        trained, x, x_valid, replace(steady, seed=seed), condition=labels,
        valid_condition=labels_valid, progress=False,
    )  # fmt: skip
    return np.add(
        history.column("valid_nll"), np.multiply(beta, history.column("valid_reconstruction"))
    )


# %%
values = {
    name: np.stack([objective(s, seed + r) for r in range(runs)], 1)  # (validations, runs)
    for name, s in settings.items()
}
at_epoch = np.arange(4, length + 1, 4)

# %%
from figures import draw

colours = "orange", "blue", "green", "grey"
marks = [
    mark
    for colour, (name, v) in zip(colours, values.items(), strict=True)
    for mark in draw.spread(at_epoch * price[name], v, colour, name)
]

# %% tags=["hide-output"] jupyter={"outputs_hidden": true} mystnb={"image": {"alt": "Exact validation loss against compute for four settings of probes and share of the batch."}}
low = min(v.min() for v in values.values())
ends = low - 1, np.quantile(np.concatenate(list(values.values())), 0.95)
axes = Axis("compute (epochs of a plain autoencoder)"), Axis("NLL + β‖x̂ − x‖²", limits=ends)
says = f"Four settings; the smallest value is {low:.1f}."
show(Picture([Panel(marks, *axes, title="validation")], says, (5.2, 3.6)))

# %%
goal = max(np.median(v, 1).min() for v in values.values())  # what every setting reaches
needed = {
    name: at_epoch[np.argmax(np.median(v, 1) <= goal)] * price[name] for name, v in values.items()
}

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
for name, compute in sorted(needed.items(), key=lambda pair: pair[1]):
    print(f"{name:15} {compute:6.1f} epochs' worth of a plain autoencoder to reach {goal:.2f}")
print(f"cheapest: {min(needed, key=needed.get)}{told(cheapest, *settings)}")

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
ends = {name: np.median(v, 1)[-1] for name, v in values.items()}
spread = max(np.ptp(v[-1]) for v in values.values())
print(f"final values {min(ends.values()):.2f} … {max(ends.values()):.2f}, ", end="")
print(f"runs of one setting differ by up to {spread:.2f}")

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
from companion.lab.provenance import made

by = made("8×8 digits, conditional", model, x, steady, seeds=range(runs))
claim("mlae-d-one-probe-enough", values["one on all"][-1] - values["all on all"][-1], by)

# %% [markdown]
# The value is exact (all singular values), never the surrogate's own. Noise in the gradient of the log-volume
# averages out over the steps; what it costs to avoid it buys nothing here. (Compute is counted in matrix products;
# networks as small as these spend most of their time elsewhere. `make bench` times large ones.)
#
# ## One step further: probes orthogonal across the batch
#
# This section is in no paper; it is the course's own. The step follows the *mean* over a batch, and nobody says
# that the probes of different samples must be independent. Let each block of $d$ samples share one random
# orthogonal matrix, a column each. Every probe alone is still uniform on the sphere, and $E[v_iv_j^\top] = 0$ for
# $i \ne j$: nothing is biased, batch normalisation included. But two probes of a block avoid each other, and for
# traceless symmetric parts $S_i$, $S_j$
#
# $$\operatorname{Cov}[v_i^\top A_i v_i,\, v_j^\top A_j v_j] = -\tfrac{2d}{(d-1)(d+2)}\operatorname{tr}(S_iS_j) .$$
#
# What the samples share cancels, and only what they do not share is left. Matrices with a common part `A` and a
# part of their own:

# %%
from companion.theory.variance import mean_trace_variance

own_part = torch.randn(24, d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
for share in (0.0, 0.5, 1.0, 2.0):
    kinds = ("batch-orthogonal", "sphere")
    across, alone = (mean_trace_variance(A + share * own_part, k) for k in kinds)
    print(f"own part × {share}: {across:.3f}, independent probes {alone:.3f}: {across / alone:.2f}")

# %% [markdown]
# In a network the matrices are $\partial f'\,g'$. **Predict:** what is left of the noise of a step, in a new network
# and in a trained one?

# %%
left_of_noise = None  # such as {"new": 0.5, "trained": 0.5}

# %%
from companion.training import sweep

eight, stages = range(seed, seed + 8), (0, 1, 3, 8, 16)  # seeds; epochs of each leg


# %%
def train_all(models, epochs):
    settings = [replace(steady, epochs=epochs, validate_every=1, seed=s) for s in eight]
    sweep(models, [x] * 8, settings, conditions=[labels] * 8, progress=False)


# %%
def step_noise(net, kind, rows=slice(128)):
    chance, maps = torch.Generator().manual_seed(seed), (net.encode, net.decode)
    weights = list(net.encoder.parameters())
    part = x[rows], *maps, weights, labels[rows]
    return volume.gradient_distance(*part, draws, chance, kind=kind).square().mean().item()


# %%
models, left = [make_model(s) for s in eight], []
for epochs_more in stages:
    if epochs_more:
        train_all(models, epochs_more)
    noises = [[step_noise(m.cpu(), k) for m in models] for k in ("batch-orthogonal", "sphere")]
    left.append(np.divide(*noises))

# %% [markdown]
# The saving matters most where the batch mean has few terms. The same eight seeds, with an eighth of the batch,
# and the exact loss at the end, seed by seed:


# %%
def final_loss(net):
    error = (net.decode(net.encode(x_valid, labels_valid), labels_valid) - x_valid).square()
    nll = -net.log_prob(x_valid, labels_valid).value.detach()
    return float((nll + beta * error.flatten(1).sum(1).detach()).mean())


# %%
ends_of = {"all": [final_loss(m.cpu()) for m in models]}
for way in ("sphere", "batch-orthogonal"):
    few = [make_model(s, fraction=1 / 8, kind=way) for s in eight]
    for epochs_more in stages[1:]:
        train_all(few, epochs_more)
    ends_of[way] = [final_loss(m.cpu()) for m in few]

# %%
excess = {way: np.subtract(ends_of[way], ends_of["all"]) for way in ("sphere", "batch-orthogonal")}

# %%
steps, colours = 10 * np.cumsum(stages), ("orange", "blue")
marks = (*draw.spread(steps, left, "blue", "eight seeds"), Rule(y=1))
dots = [
    Points(np.full(8, at), more, colour, alpha=0.6)
    for at, (more, colour) in enumerate(zip(excess.values(), colours, strict=True))
]

# %% tags=["hide-output"] jupyter={"outputs_hidden": true} mystnb={"image": {"alt": "Left: noise of a step with probes orthogonal across the batch over that with independent ones, falling far below one in a new network and rising with training, band over eight seeds. Right: how much the final loss with an eighth of the batch exceeds that with the whole batch, for both kinds of probes."}}
noise = Axis("noise over independent probes'", "log", (np.min(left) / 1.3, 2))
ways = Axis(limits=(-0.5, 1.5), ticks=(0, 1), names=("independent", "orthogonal across"))
loss = Axis("final loss, more than with all (nats)")
panels = [Panel(marks, Axis("steps"), noise), Panel([*dots, Rule(y=0)], ways, loss)]
says = f"Left of the noise: {np.median(left[0]):.2g} new, {np.median(left[-1]):.2g} trained."
show(Picture(panels, says, (8.6, 3.0)))

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
print(f"left of the noise: new {np.median(left[0]):.2g}, trained {np.median(left[-1]):.2g}", end="")
print(told(left_of_noise))

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
for way, more in excess.items():
    half = 2.365 * more.std(ddof=1) / 8**0.5  # Student's t for eight runs
    print(f"an eighth, {way:16}: {more.mean():+.3f} ± {half:.3f} nats (95 %)")

# %% [markdown]
# Eight seeds of one small network decide little. So here is what came of three networks once, one of them
# convolutional and on MNIST: each trained eight times with each kind of probes, on all of the batch, on an eighth
# and on a sixteenth. (`companion rebuild batch_orthogonal` makes it again; it needs MNIST's test files.)

# %% mystnb={"image": {"alt": "Left: noise of a step with probes orthogonal across the batch over that with independent ones, for three networks, new and trained, eight seeds each. Right, one picture for each network: how much more the final loss is than with independent probes on the whole batch, against the share of the batch, for both kinds of probes, with 95 % intervals."}}
from figures.explorables import batch_orthogonal

show(batch_orthogonal.picture())

# %%
for setting in batch_orthogonal.SETTINGS:
    new, trained = np.median(batch_orthogonal.noise_ratio(setting), 1)
    print(f"{setting}: left of the noise {new:.2g} new, {trained:.2g} trained")
    for way, name in batch_orthogonal.KINDS.items():
        ends = zip(*batch_orthogonal.interval(batch_orthogonal.excess(setting, way)), strict=True)
        print(f"    {name:17} " + ", ".join(f"{mean:+.2f} ± {half:.2f}" for mean, half in ends))

# %% [markdown]
# A new network treats all samples nearly alike, so that nearly all noise is shared and cancels; training makes
# them differ. Where intervals overlap, eight seeds do not decide: the convolutional net's differ more by their
# seed than by their probes, so the package's default stays what the papers use. The price is one small QR for each
# block. (An eighth is the first samples of a batch, which `fit` shuffles.)
#
# ## Exercises
#
# **1.** For which matrices is one Rademacher probe better than one on the sphere, and for which is it worse?
# Construct one of each.
#
# <details><summary>Solution</summary>
#
# Better where the diagonal dominates (eq. 93, $2\sum_{i \ne j} S_{ij}^2$, has no diagonal), worse where
# the eigenvalues are nearly equal but the eigenvectors are not along the axes: the next cell.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
for name, M in {"diagonal": torch.diag(torch.arange(8.0)), "ones": torch.eye(8) + 0.1}.items():
    r, s = (trace_variance(M, k) for k in ("rademacher", "sphere"))
    print(f"{name:8} Rademacher {r:.3f}, sphere {s:.3f}")

# %% [markdown]
# **2.** A batch has B samples, each with its own probe. By how much does the standard deviation of the *mean*
# estimate fall from B = 1 to B = 128, if the matrices were all equal? Compare with the figure above.
#
# <details><summary>Solution</summary>
#
# By √128 ≈ 11. The distance of eq. 89 falls differently, as the gradients of different samples do not point the
# same way, so that the length of the mean gradient, in its denominator, falls too.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
fall = in_latent["batch 1"][0].mean() / in_latent["batch 128"][0].mean()
print(f"√128 = {128**0.5:.1f}; the distance falls by a factor of {fall:.1f}")

# %% [markdown]
# **3.** Why does "orthogonal" with K = 1 need no QR decomposition?
#
# <details><summary>Solution</summary>
#
# A single vector is orthogonal to nothing; normalising a Gaussian gives the uniform direction. The QR of every
# sample is what makes a literal implementation slow.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
one_vector = probes.sample("orthogonal", 1, batch, torch.Generator().manual_seed(5))
same = probes.sample("sphere", 1, batch, torch.Generator().manual_seed(5))
print("the same vectors:", torch.equal(one_vector, same))

# %% [markdown]
# **4.** Blocks are cut in the batch's order. Which order leaves the least noise? Try one.
#
# <details><summary>Solution</summary>
#
# Similar samples should share a block, since only what they do not share is left: sort by the label, or by the first
# entry of the code. The batch mean does not depend on the order.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
by_label = labels[:128].argmax(1).argsort()
noises = [[step_noise(m, k, by_label) for m in models] for k in ("batch-orthogonal", "sphere")]
print(
    f"sorted by label: {np.median(np.divide(*noises)):.2g}, as it came: {np.median(left[-1]):.2g}"
)

# %% [markdown]
# ## Recall
#
# 1. Which property of the probes makes the estimate unbiased?
# 2. Why does only the symmetric part of A matter?
# 3. What is the variance of K orthogonal probes at K = d, and why?
# 4. Why is the trace taken in latent space?
# 5. Which of mode, space and side can be exchanged without changing anything?
# 6. When do the signs of the QR matter?
# 7. What is the difference between the bias and the noise of the surrogate's gradient?
# 8. Which part of the noise do probes orthogonal across the batch remove?

# %% [markdown]
# <details><summary>Answers</summary>
#
# 1. $E[vv^\top] = 1$.
# 2. $v^\top B v = 0$ for a skew B, whatever v is.
# 3. Zero: a full orthogonal set sums to the exact trace.
# 4. The d×d matrix has the smaller norm, so that estimates vary less.
# 5. The mode. The space changes single estimates but not their mean; the side changes what is followed.
# 6. Where samples are coupled, as by batch normalisation in training mode.
# 7. Noise averages out over steps; the bias comes from an encoder that is not the pseudo-inverse.
# 8. That of what the samples' matrices have in common.
#
# </details>

# %% [markdown]
# ## Summary
#
# - A random vector with $E[vv^\top] = 1$ gives a trace; fixing its length helps, orthogonality helps more.
# - Latent space, one probe, a large batch: that is enough, and less may be cheaper.
# - Modes agree to rounding; spaces in expectation; sides in opposite sign, at pseudo-inverse pairs only.
# - Probes must be zero-mean where samples are coupled.
# - Probes orthogonal across the batch cancel the noise that its samples share, at the price of one probe each.
#
# ## References
#
# MLAE: Sorrenson et al. (2023), App. B (eqs 32, 39), App. D (eqs 82 to 115, Table 3, Fig. 5). Hutchinson (1990), *A
# stochastic estimator of the trace of the influence matrix*. Girard (1989), *A fast Monte-Carlo cross-validation
# procedure*. Mezzadri (2006), *How to generate random matrices from the classical compact groups*.
