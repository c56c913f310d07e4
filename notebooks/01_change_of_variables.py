# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Change of variables across dimensions
#
# **Question.** A decoder lays a line of codes into the plane. The codes have a density, so the curve has
# one too. How dense is it, and *per what*: per unit of length, or per unit of area?

# %%
from companion.lab.frame import show
from figures.explorables import interval

begin = {"centre": 1.5, "width": 1.0}
show(interval.EXPLORABLE.render(0, stretch=0.0, bend=1.0, **begin))

# %% [markdown]
# Top left: codes with the density N(0, 1). Right: the curve that a decoder makes of them; it is thick and
# bright where it is dense. Bottom left: that density over the length of the curve. The orange interval
# holds the same mass in all three. This decoder only bends the line. What if it stretches it too?
#
# After this notebook you can
#
# 1. compute the density that a decoder puts on its manifold, and check it by quadrature and by samples;
# 2. say why it is no density off the manifold, and what its unit is;
# 3. tell three things apart that are all called pseudo-inverse;
# 4. measure how far a trained pair is from the one that the method needs.
#
# It takes about half a minute at the `quick` profile on two CPU cores.

# %% tags=["parameters"]
profile = "quick"  # quick, standard or full
seed = 0
device = "cpu"
stretch = 0.4  # k: the decoder's speed at code z is exp(kz)
bend = 1.0  # ω: its direction there is (cos ωz, sin ωz)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.parameters import PROFILES, between, device_name, guard, seed_number

guard(
    globals(),
    profile=PROFILES,
    seed=seed_number,
    device=device_name,
    stretch=between(0.1, 0.5),
    bend=between(0.1, 1),
)

# %% [markdown]
# ## A small piece of curve
#
# Our decoder is a spiral with two separate knobs,
# $g(z) = \int_0^z e^{kt}\,(\cos\omega t, \sin\omega t)\,dt$. A short piece $dz$ of codes becomes a piece of
# curve of length $\lVert g'(z)\rVert\,dz$, and the mass on it stays what it was. So the density per unit of
# length is divided by the stretch. In more dimensions a small box becomes a small parallelepiped of volume
# $\det(g'^\top g')^{1/2}\,dz$ (MLAE eqs 2 and 27):
#
# $$p_X(x) = p_Z(z)\,\det\!\big[g'(z)^\top g'(z)\big]^{-1/2} , \qquad x = g(z) .$$

# %%
import torch


def decode(z):
    return interval.decode(z, stretch, bend)


# %%
z = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
J = torch.stack([torch.func.jacrev(lambda c: decode(c[None])[0])(c) for c in z])  # (5, 2, 1)
by_hand = 0.5 * torch.logdet(J.mT @ J)

# %%
from companion import jacobians

assert torch.allclose(by_hand, jacobians.log_volume(decode, z))
assert torch.allclose(by_hand, stretch * z[:, 0])
print("log-volume at z = −2, −1, 0, 1, 2:", by_hand.numpy().round(3))

# %% [markdown]
# The bend does not appear in it: bending a line moves its points but keeps every length.
#
# ## Predict, then move
#
# The codes from −2 to −1 and those from 1 to 2 have the same mass. With stretch 0.4, which of the two pieces
# of curve is longer, and by what factor: about 1.5, 3 or 10?

# %%
prediction = None  # 1.5, 3 or 10

# %%
from companion.lab.widgets import explore

explore(interval.EXPLORABLE, **begin | {"stretch": stretch, "bend": bend})

# %%
from companion.lab.prediction import told

inner, outer = (interval.numbers(c, 1.0, 0.4, 1.0) for c in (-1.5, 1.5))
factor = outer.length / inner.length

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
print(f"stretch 0.4: masses {inner.mass_x:.4f} and {outer.mass_x:.4f}", end=", ")
print(f"lengths {inner.length:.2f} and {outer.length:.2f}", end=": ")
print(f"a factor of {factor:.1f}{told(prediction, 1.5, 3, 10)}")

# %% [markdown]
# ## It integrates to one, along the curve
#
# Whoever integrates $p_X\,\lVert g'\rVert\,dz$ puts the stretch in and takes it out again. An honest check
# measures the curve with a ruler: add up the density times the *chords* between neighbouring points of the
# plane, where no derivative enters.


# %%
def density(z):
    prior = (-0.5 * z.square().sum(1)).exp() / (2 * torch.pi) ** (z.shape[1] / 2)
    return prior * (-jacobians.log_volume(decode, z)).exp()


# %%
fine = torch.linspace(-6.5, 6.5, 20001, dtype=torch.float64)[:, None]
chords = (decode(fine[1:]) - decode(fine[:-1])).norm(dim=1)
pieces = density((fine[1:] + fine[:-1]) / 2) * chords

# %%
mass_of_curve = float(pieces.sum())
assert abs(mass_of_curve - 1) < 1e-6
mass_of_curve

# %% [markdown]
# And samples agree: decode draws from N(0, 1), find out how far along the curve each of them lies, and count
# them in twenty bins. No bin may be further off than chance allows.

# %%
import numpy as np

samples = decode(torch.randn(20000, 1, generator=torch.Generator().manual_seed(seed)).double())

# %%
corners = decode(fine)[6000:14001]  # codes from −2.6 to 2.6
nearest = torch.cdist(samples, corners[::20]).argmin(1) * 20
arc = torch.cat([torch.zeros(1), chords[6000:14000].cumsum(0)])
at = arc[nearest[(nearest > 0) & (nearest < 8000)]]  # beyond the ends we do not look

# %%
edges = torch.linspace(0.05, float(arc[-1]) - 0.05, 21, dtype=torch.float64)
counts = torch.histogram(at, edges).hist
cumulative = np.interp(edges, arc, np.concatenate([[0], pieces[6000:14000].cumsum(0)]))
expected = torch.tensor(np.diff(cumulative)) * len(samples)

# %%
worst = ((counts - expected) / expected.sqrt()).abs().max()
print(
    f"mass on the curve {mass_of_curve:.8f}; worst of 20 bins off by {worst:.1f} standard errors:"
)
print("chance allows 4.5 once in 7,000 seeds; that", "holds here" if worst < 4.5 else "fails here")

# %% [markdown]
# ## A surface
#
# Codes in the plane, laid onto the unit sphere by stereographic projection: the origin goes to the south
# pole, infinity to the north pole. $g(z) = (2z,\ \lVert z\rVert^2 - 1)/(1 + \lVert z\rVert^2)$.
#
# **Predict:** the most likely code is z = 0. Is its image, the south pole, where the sphere is densest?

# %%
south_pole_is_densest = None  # True or False


# %%
def sphere(z):
    squared = z.square().sum(1, keepdim=True)
    return torch.cat([2 * z, squared - 1], 1) / (1 + squared)  # (batch, 3)


# %%
def density_on_sphere(z):
    prior = (-0.5 * z.square().sum(1)).exp() / (2 * torch.pi)
    return prior * (-jacobians.log_volume(sphere, z)).exp()


# %%
side = torch.linspace(0, 1, 73, dtype=torch.float64)
radius, turn = torch.meshgrid(torch.tan(1.569 * side), 2 * torch.pi * side, indexing="ij")
codes = torch.stack([radius * turn.cos(), radius * turn.sin()], -1)  # (73, 73, 2)

# %%
patches = sphere(codes.flatten(0, 1)).reshape(73, 73, 3)
shades = density_on_sphere(codes.flatten(0, 1)).reshape(73, 73)
best = patches[..., 2].flatten()[shades.argmax()]

# %% tags=["hide-output"] jupyter={"outputs_hidden": true} mystnb={"image": {"alt": "A unit sphere seen from the side, coloured by the density that a Gaussian plane of codes gives it: dim at the south pole, bright on a ring above the equator, dark at the north pole."}}
from companion.lab import frame
from figures import surfaces

figure = frame.figure(size=(5.6, 4.0))
ax = figure.add_subplot(projection="3d", elev=5)
surfaces.still(ax, patches, shades)
words = f"A sphere coloured by density: highest, {shades.max():.3f}, at height {best:.2f}."
show(figure, words, extra=surfaces.turnable(patches[::2, ::2], shades[::2, ::2]))

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
pole = density_on_sphere(torch.zeros(1, 2).double())[0]
print(f"density {pole:.3f} at the south pole, {shades.max():.3f} on a ring at height {best:.2f}")
densest = bool(pole >= shades.max())
print(f"densest at the south pole: {densest}{told(south_pole_is_densest, True, False)}")

# %% [markdown]
# (In JupyterLab and in the book you can turn the sphere with the mouse.)
#
# The prior falls from the origin outwards, but the plane is laid ever more closely onto the sphere. *Where a
# density is highest depends on the coordinates; a mass does not.*
#
# Its integral, again without the formula's own Jacobian: by Archimedes the part of a unit sphere between
# two heights has the area 2π times their difference.

# %%
heights = torch.linspace(-1, 1, 4001, dtype=torch.float64)
middle = (heights[1:] + heights[:-1]) / 2
radii = ((1 + middle) / (1 - middle)).sqrt()  # of the codes that land there

# %%
bands = density_on_sphere(torch.stack([radii, 0 * radii], 1)) * 2 * torch.pi * heights.diff()
mass_of_sphere = float(bands.sum())
assert abs(mass_of_sphere - 1) < 1e-5
mass_of_sphere

# %%
drawn = torch.randn(20000, 2, generator=torch.Generator().manual_seed(seed)).double()
counts = torch.histogram(sphere(drawn)[:, 2], heights[::200]).hist
expected = bands.reshape(20, 200).sum(1) * len(drawn)

# %%
worst = ((counts - expected) / expected.sqrt().clamp(min=1)).abs().max()
print(
    f"mass on the sphere {mass_of_sphere:.8f}; worst of 20 bands off by {worst:.1f} standard errors"
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.claims import claim

claim("mlae-a-mass-on-manifold", [mass_of_curve, mass_of_sphere])

# %% [markdown]
# ## Off the manifold it is no density
#
# With an encoder for the code, $p_Z(f(x))\det[g'(f(x))^\top g'(f(x))]^{-1/2}$ can be evaluated at *any* x of
# the plane. On the curve $f(g(z)) = z$ settles the value. Elsewhere the encoder is free, and the value is
# whatever it says. Here are two encoders that both invert our spiral exactly.

# %%
encoders = {
    "spiral": lambda x: interval.spiral_code(x, stretch, bend),
    "radius": lambda x: interval.radius_code(x, stretch, bend),
}

# %%
z = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)[:, None]
for encode in encoders.values():
    assert torch.allclose(encode(decode(z)), z)


# %%
def formula_on_a_box(encode, half, cells=400):
    side = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells * 2 * half - half
    x = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1).reshape(-1, 2)
    codes = encode(x)
    values = density(codes)
    mass = float(values.sum() * (2 * half / cells) ** 2)
    return values.reshape(cells, cells), codes.reshape(cells, cells), mass


# %% mystnb={"image": {"alt": "The formula's value all over the plane with two encoders that agree on the curve: with the spiral encoder its lines of equal value cross the curve at right angles, with the radius encoder they are circles about the pole."}}
figure, box = frame.figure(2), {"extent": (-5, 5, -5, 5), "origin": "lower"}
for ax, (name, encode) in zip(figure.subplots(1, 2), encoders.items(), strict=True):
    values, codes, total = formula_on_a_box(encode, 5.0)
    ax.imshow(values, cmap=frame.CODE_MAP, **box)
    ax.contour(
        codes,
        np.arange(-3, 3.5, 0.5),
        colors="lightgrey",
        linewidths=0.6,
        linestyles="solid",
        **box,
    )
    ax.plot(*decode(torch.linspace(-3, 3, 200)[:, None]).T, color="white", linewidth=2)
    ax.set(title=f"{name} encoder: {total:.2f} over this box", xlabel="x₁", ylabel="x₂")
show(figure, "The formula's value in the plane, for two encoders that agree on the curve.")

# %% [markdown]
# Light lines: points of equal code. On the left they cross the curve at right angles, on the right they
# are circles. (They bunch up on the left where the angle about the pole jumps.)

# %%
boxes = (5.0, 10.0, 20.0, 40.0)
totals = {n: [formula_on_a_box(e, b)[2] for b in boxes] for n, e in encoders.items()}
for name, total in totals.items():
    print(f"{name}: {np.round(total, 2)} over boxes of half side {boxes}")

# %% tags=["hide-input"] jupyter={"source_hidden": true}
smallest_gap = float(np.abs(np.array(list(totals.values())) - 1).min())
claim("mlae-a-not-in-ambient-space", smallest_gap)

# %% [markdown]
# Two encoders, two answers, none of them one, and for one of them the "mass" grows with the box. The paper
# says so too (App. A). Even the unit is wrong: $p_X$ is per unit of *length*, a density of the plane is per
# unit of *area*. Say "density at x" only for an x on the manifold; for a data point x that means at its
# reconstruction x̂.
#
# ## Three things called pseudo-inverse
#
# 1. *Nested:* $g\circ f$ is a projection, decoding and encoding again changes nothing more.
# 2. *Inverse on the manifold:* $f\circ g = 1$, hence $f'(\hat x)\,g'(z) = 1$ (MLAE eq. 10).
# 3. *Pseudo-inverse Jacobians:* $f'(\hat x) = g'(z)^+$ with $A^+ = (A^\top A)^{-1}A^\top$, the one left inverse
#    that ignores steps across the manifold.
#
# Each needs more than the one before it. The paper's §3 calls 1 and 2 equivalent, and §4.1 takes 3 for 2. But
# 1 does not give 2:

# %%
constant, origin = (lambda x: x[:, :1] * 0), (lambda z: z * torch.tensor([[0.0, 0.0]]))
x = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed))
once, codes_of = origin(constant(x)), constant(origin(torch.ones(5, 1)))

# %%
projects = bool((origin(constant(once)) == once).all())
inverts = bool((codes_of == 1).all())
print(f"everything to zero: g∘f is a projection: {projects}; f∘g = 1: {inverts}")
claim("mlae-3-projection-means-inverse", inverts or not projects)

# %% [markdown]
# (With an injective $g$ and an $f$ that reaches all codes the two are equivalent.) And 2 does not give 3. Our
# two encoders are both exact inverses; one of them also looks across the curve:

# %%
x = decode(z)
found = {name: jacobians.defect(x, encode, decode) for name, encode in encoders.items()}
for name, values in found.items():
    print(f"{name}: ‖f'g' − 1‖ ≤ {values.identity.max():.0e}, ", end="")
    print(f"log-volumes of f and g add up to {values.log_volume.mean():.4f}")
predicted = float(np.log(np.hypot(stretch, bend) / stretch))
assert torch.allclose(found["radius"].log_volume, torch.full((11,), predicted).double())

# %% [markdown]
# Write $f' = g'^+ + N$ with $N g' = 0$. Then $f'f'^\top = (g'^\top g')^{-1} + NN^\top$: the encoder has *more*
# volume than the decoder's inverse. The **defect** of the log-volume,
#
# $$\tfrac12\log\det\big[f'f'^\top\big](\hat x) + \tfrac12\log\det\big[g'^\top g'\big](z) \;\ge\; 0
#   \quad\text{where } f'g' = 1 ,$$
#
# is zero only for pair 3 (eq. 34). It is counted in *nats*, as all that comes from a natural logarithm. For the
# radius encoder it is $\tfrac12\log(1 + \omega^2/k^2)$.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-b-encoder-volume", float(found["spiral"].log_volume.abs().max()))
claim("mlae-4-inverse-means-pseudo-inverse", float(found["radius"].log_volume.max()))

# %% [markdown]
# ## What the defect spoils
#
# **The density.** With the encoder's volume in place of the decoder's inverse one, the mass on the curve is
# $e^{\text{defect}}$ instead of 1.

# %%
middle = (fine[7001:13001] + fine[7000:13000]) / 2  # codes from −1.95 to 1.95, away from its cut
short = (decode(fine[7001:13001]) - decode(fine[7000:13000])).norm(dim=1)
prior = (-0.5 * middle[:, 0] ** 2).exp() / (2 * torch.pi) ** 0.5
true_mass = float((density(middle) * short).sum())

# %%
for name, encode in encoders.items():
    volume_of_f = jacobians.log_volume_encoder(encode, decode(middle)).exp()
    ratio = float((prior * volume_of_f * short).sum()) / true_mass
    print(f"{name}: mass by the encoder's volume, over the true one: {ratio:.3f}")

# %% [markdown]
# **The gradient.** Training never builds the log-volume. It follows a *surrogate*, another number whose gradient
# is the same. A small change $E$ of the unit matrix changes volume by its diagonal alone:
# $\det(1 + E) \approx 1 + \operatorname{tr}E$. So for a square $f'$ with the inverse $g'$
#
# $$\partial\log\lvert\det f'\rvert = \log\lvert\det(f' + \partial f')\,g'\rvert = \log\det(1 + \partial f'\,g') =
#   \operatorname{tr}(\partial f'\,g') ,$$
#
# and so it is for $\tfrac12\log\det f'f'^\top$ with the pseudo-inverse (eqs 9 to 12). But as long as the maps
# invert each other $\operatorname{tr}(f'g')$ is $d$, and its gradient zero. Hence the *stop-gradient* sg: one factor
# is held. For two dimensions:

# %%
M = torch.tensor([[2.0, 1.0], [0.5, 3.0]], dtype=torch.float64, requires_grad=True)  # f'
inverse = torch.linalg.inv(M)  # g'
values = torch.logdet(M), (M @ inverse.detach()).trace(), (M @ inverse).trace()
exact, held, free = (torch.autograd.grad(v, M, retain_graph=True)[0] for v in values)

# %%
assert torch.allclose(held, exact) and free.abs().max() < 1e-12
print(f"log det, tr(f' sg[g']) and tr(f'g') are {[round(v.item(), 3) for v in values]}")
print(f"gradients, row by row: {exact.numpy().round(3).tolist()},")
print(f"{held.numpy().round(3).tolist()} and {free.numpy().round(3).tolist()}")

# %% [markdown]
# The other side, $\operatorname{tr}(\mathrm{sg}[f']\,g')$, gives the decoder's log-volume if $f'$ is $g'^+$. That of our
# decoder is $kz$, so its true gradient in (k, ω) is (z, 0): bending is free. What does the surrogate say at z = 1,
# with either encoder?

# %%
from companion.volume import surrogate

options = {"side": "decoder", "at": "manifold", "kind": "basis"}
for name, encode in encoders.items():
    knobs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (stretch, bend)]
    x = decode(torch.ones(1, 1, dtype=torch.float64))
    value = surrogate(x, encode, lambda z, k=knobs: interval.decode(z, *k), **options).surrogate
    slope = torch.stack(torch.autograd.grad(value.sum(), knobs))
    print(f"{name}: gradient in (stretch, bend) {slope.numpy().round(3)}, exact [1. 0.]")

# %% [markdown]
# With the radius encoder the surrogate believes that bending costs volume, though both maps invert each other
# exactly: the wrong part is $\operatorname{tr}(N\,\partial g')$.
#
# So what makes a network's encoder blind across the manifold? Only the reconstruction error: its best encoder
# projects at right angles (§3). The paper assumes that the weight of the error suffices (§4.1): measure it.
#
# ## Along a real training run
#
# The noisy sinusoid of the next notebook, trained with a large and with a small weight β of the error. This
# is its model: two networks of three hidden layers of 64, each with a linear skip.

# %%
from companion.models import MLAE
from companion.networks import MLP

torch.manual_seed(seed)
layers = {"hidden": (64, 64, 64), "residual": True}
model = MLAE(MLP(2, 1, **layers), MLP(1, 2, **layers), data_shape=(2,), latent_dim=1, beta=10.0)

# %% [markdown]
# And this is its training. The package holds both, which the next cell checks; from here on we take them
# from there.

# %%
from companion.training import TrainConfig

config = TrainConfig(epochs=50, batch_size=256, learning_rate=5e-3, seed=seed, device="cpu")

# %%
from companion.lab.same import same
from figures.explorables import sinusoid

assert same(model, sinusoid.make_model(10.0, seed)) and config == sinusoid.make_config(seed)
print(f"{sum(p.numel() for p in model.parameters()):,} weights, and the same training")

# %%
from dataclasses import replace

from companion.training import fit

betas, seeds = (10.0, 0.1), range({"quick": 3}.get(profile, 5))
epochs = {"quick": 25}.get(profile, sinusoid.EPOCHS)
held_out = sinusoid.make_data(0.1, 99)[:256]


# %%
def run(beta, seed):
    config = replace(sinusoid.make_config(seed, epochs), device=device, log_defect=True)
    model = sinusoid.make_model(beta, seed)
    return fit(model, sinusoid.make_data(0.1, seed), held_out, config, progress=False)


# %%
logs = {beta: [run(beta, seed + s) for s in seeds] for beta in betas}

# %%
titles = {
    "defect_identity": "‖f'g' − 1‖",
    "defect_log_volume": "defect of the log-volume (nats)",
    "gradient_cosine": "cosine to the exact gradient",
}

# %%
ends = {b: np.array([[g.column(n)[-10:] for n in titles] for g in logs[b]]) for b in betas}
faithful = {b: f"cosine above 0.9 in {(v[:, 2] > 0.9).mean():.0%}" for b, v in ends.items()}

# %%
from companion.lab.picture import Axis, Panel, Picture
from figures import draw


def over_epochs(name, title):
    marks = ()
    for beta, colour in zip(betas, ("blue", "orange"), strict=True):
        curves = np.array([log.column(name) for log in logs[beta]]).T  # (epochs, seeds)
        marks += draw.spread(range(1, epochs + 1), curves, colour, f"β = {beta:g}")
    return Panel(marks, Axis("epoch"), title=title)


# %% mystnb={"image": {"alt": "Three measures of the pair along training for a large and a small beta: distance of f'g' from one, defect of the log-volume, cosine between the surrogate's gradient and the exact one."}}
says = "; ".join(f"β = {b:g}: {words} of the last epochs" for b, words in faithful.items())
show(Picture([over_epochs(*one) for one in titles.items()], says, (10.8, 3.2)))

# %%
print("of the last ten epochs and all seeds, in the median")
for beta, values in ends.items():
    identity, log_volume, _ = np.median(values, (0, 2))
    print(f"β = {beta:g}: ‖f'g' − 1‖ {identity:.1g}, defect {log_volume:+.1f}, {faithful[beta]}")

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.provenance import made

trained = replace(sinusoid.make_config(seed, epochs), device=device)
by = made("noisy sinusoid, σ = 0.1", model, sinusoid.make_data(0.1, 0), trained, seeds=seeds)
cosines = [float(log.column("gradient_cosine")[-1]) for log in logs[10.0]]
claim("mlae-4-reconstruction-suffices", cosines, by)

# %% [markdown]
# At the large β the pair comes close: the surrogate points the right way, though the defect is not zero. At
# the small β nothing asks for it: the cosine jumps from epoch to epoch, and no two machines draw the same
# curve. The defect may turn negative: where f'g' is not 1 it has no sign. Notebook 05 looks at the noise of
# the surrogate, which comes on top.
#
# ## Exercises
#
# **1.** Measure x in centimetres instead of metres. By how much does log p change at a point of the curve,
# and at one of the sphere? Why does it matter when likelihoods of two models are compared?
#
# <details><summary>Solution</summary>
#
# By −d log 100, d the dimension of the *manifold*: the next cell. A density of the whole space would change by
# −D log 100. A difference of log-likelihoods is free of the unit only between manifolds of one dimension; it
# still compares densities on different sets.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
for name, g, d in (("curve", decode, 1), ("sphere", sphere, 2)):
    z = torch.full((1, d), 0.3, dtype=torch.float64)
    change = jacobians.log_volume(g, z) - jacobians.log_volume(lambda z, g=g: 100 * g(z), z)
    assert torch.allclose(change, torch.tensor(-d * np.log(100)))
    print(f"{name}: log p changes by {change[0]:.3f} nats = −{d} log 100")

# %% [markdown]
# **2.** Which density of the codes makes the sphere uniform?
#
# <details><summary>Solution</summary>
#
# The log-volume of stereographic projection is 2 log(2/(1 + ‖z‖²)), so p(z) = 1/(π(1 + ‖z‖²)²), a two-dimensional
# t-distribution: 1/(4π) everywhere on the sphere.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
z = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed)).double()
prior = 1 / (torch.pi * (1 + z.square().sum(1)) ** 2)
uniform = prior * (-jacobians.log_volume(sphere, z)).exp()
assert torch.allclose(uniform, torch.full_like(uniform, 1 / (4 * torch.pi)))
print(uniform.numpy().round(6), "and 1/(4π) is", round(1 / (4 * np.pi), 6))

# %% [markdown]
# **3.** The decoder g(z) = z² folds the line. What does the formula integrate to on its image, the positive
# numbers, if the encoder is f(x) = √x? What is missing?
#
# <details><summary>Solution</summary>
#
# A half: each x has two codes, ±√x, and the encoder knows one. The density is the *sum* over all codes; the
# formula holds for injective decoders.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
half_line = torch.linspace(1e-4, 6, 100001, dtype=torch.float64)[:, None]
x = half_line**2
middle = (half_line[1:] + half_line[:-1]) / 2
volume = jacobians.log_volume(lambda z: z**2, middle).exp()

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
values = (-0.5 * middle[:, 0] ** 2).exp() / (2 * torch.pi) ** 0.5 / volume
print(f"mass with one of the two codes: {(values * x[:, 0].diff()).sum():.4f}")

# %% [markdown]
# **4.** Add a little noise across a curve, and it has a density in the plane. How does that grow as the noise
# σ → 0, and what is left when the growth is taken away?
#
# <details><summary>Solution</summary>
#
# It grows like the density of the noise across, $(2\pi\sigma^2)^{-(D-d)/2}$, without bound; what is left is $p_X$
# of this notebook. The next cell does it for the noisy sinusoid, whose density in the plane is known.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
from companion.data.toy import Sinusoid

t = torch.tensor([0.3], dtype=torch.float64)
speed = jacobians.log_volume(lambda z: Sinusoid().curve(z[:, 0]), t[:, None])
on_curve = -0.5 * t**2 - 0.5 * np.log(2 * np.pi) - speed
for sigma in (0.1, 0.03, 0.01):
    full = Sinusoid(sigma).log_prob(Sinusoid(sigma).curve(t))
    rest = full + 0.5 * np.log(2 * np.pi * sigma**2)
    print(
        f"σ = {sigma:g}: log p = {full[0]:.3f}; taken away {rest[0]:.3f}; curve {on_curve[0]:.3f}"
    )

# %% [markdown]
# ## Recall
#
# 1. What is the unit of $p_X$ on a curve in the plane?
# 2. Why does bending a line not change its density, and stretching does?
# 3. Why is the image of the most likely code not the place of highest density?
# 4. What does the formula mean for an x off the manifold?
# 5. Which of the three pseudo-inverses does eq. 10 state, and which does the surrogate need?
# 6. What is the sign of the defect where $f'g' = 1$, and why?
# 7. Which term of the loss pushes the defect to zero?

# %% [markdown]
# <details><summary>Answers</summary>
#
# 1. One over length.
# 2. Mass is kept and length too; stretching spreads the same mass over more length.
# 3. The density is divided by the volume there, and the volume varies.
# 4. Nothing: another encoder that inverts the same decoder gives another number.
# 5. That $f'$ is a left inverse of $g'$; the surrogate needs the pseudo-inverse, blind across the manifold.
# 6. At least zero: $f'f'^\top$ gains $NN^\top$ from looking across.
# 7. The reconstruction error, weighted by β.
#
# </details>

# %% [markdown]
# ## Summary
#
# - An injective decoder divides the density of the codes by its volume $\det(g'^\top g')^{1/2}$.
# - The result integrates to one over the manifold, per unit of its length or area, and nowhere else.
# - $f\circ g = 1$ is not enough for the surrogate: $f'$ must also ignore steps across the manifold.
# - The defect measures that, and only the reconstruction error keeps it small.
#
# ## References
#
# MLAE: Sorrenson et al. (2023), §3 (eq. 2), §4.1 (eqs 9 to 12), App. A (eqs 21 to 27), App. B (eqs 32 to 39).
# The area behind eq. 27: Krantz and Parks (2008), *Geometric Integration Theory*, ch. 5.
