# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · The linear model: three thresholds and a memory
#
# **Question.** Notebook 02 showed a network that learns the noise when β is small. With linear maps the
# same loss can be solved on paper. Where exactly does it change its mind, and does a model that is
# already trained follow?

# %%
from companion.lab.frame import show
from figures.explorables import linear_model as explorable

show(explorable.opening())

# %% [markdown]
# Points with two variances, and one number to keep for each of them: where it lies along one of two lines.
# At which β does the best model go from the one line to the other, and when does a trained one?
#
# After this notebook you can
#
# 1. write the loss of the linear model and its critical points;
# 2. name three thresholds of β, where the paper's text names one;
# 3. predict how a trained model follows a moving β, and see it in a descent;
# 4. say which of these results need a tied decoder.

# %% tags=["parameters"]
profile = "quick"  # quick, standard or full
seed = 0
device = "cpu"  # closed forms and maps of two numbers stay on the CPU
beta = 1.0  # = 1/(2σ²) = 1/(2γ)
small = 0.05  # the smaller variance; the larger is 1

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.parameters import PROFILES, between, device_name, guard, seed_number

guard(
    globals(),
    profile=PROFILES,
    seed=seed_number,
    device=device_name,
    beta=between(1e-6, 1e6),
    small=between(0.01, 0.5),
)

# %% [markdown]
# ## The loss
#
# Encoder $z = Ax$, decoder its pseudo-inverse, $\hat x = A^+ z$ with $A^+ = A^\top(AA^\top)^{-1}$: the decoder
# that projects at right angles. For data of covariance $\Sigma$ the mean loss is (MLAE eq. 46)
#
# $$\mathcal L(A) = \tfrac12\operatorname{tr}(A\Sigma A^\top) - \tfrac12\log\det(AA^\top) +
#   \beta\operatorname{tr}\big(\Sigma(1 - A^+A)\big) .$$

# %%
import torch

generator = torch.Generator().manual_seed(seed)
A = torch.randn(1, 2, dtype=torch.float64, generator=generator)

# %%
covariance = torch.diag(torch.tensor([small, 1.0], dtype=torch.float64))
lost = covariance @ (torch.eye(2) - torch.linalg.pinv(A) @ A)
by_hand = 0.5 * (A @ covariance @ A.T).trace() - 0.5 * torch.logdet(A @ A.T) + beta * lost.trace()

# %%
from companion.theory import linear

assert torch.allclose(by_hand, linear.loss(A, covariance, beta))
print(f"L(A) = {by_hand:.4f}")

# %% [markdown]
# ## Critical points
#
# At a critical point $A\Sigma A^\top = 1$, and what is left depends on the direction alone. Keeping an
# eigenvector of variance λ adds ½(log λ − 2βλ) (eq. 76): concave in λ, with its top at λ = σ² = 1/(2β).
# So the best choices lie at the *ends* of the spectrum: for large σ² the smallest variance, for small σ²
# the largest, as in PCA.

# %%
for point in linear.critical_points((small, 1.0), latent=1, beta=beta):
    what = "all u with uᵀΣu = σ²" if point.num_free else f"λ = {(small, 1.0)[point.kept[0]]:g}"
    print(f"{what:22} L = {point.value:.4f}")

# %% [markdown]
# The last one is not in the paper's Lemma C.3: for one latent dimension every direction of variance σ² is
# critical too. It is the barrier between the two minima. The package's points have no gradient:

# %%
points = linear.critical_points((small, 1.0), 1, beta)
steepest = max(
    float(
        linear.gradient(linear.representative((small, 1.0), beta, p), covariance, beta).abs().max()
    )
    for p in points
)

# %%
assert steepest < 1e-10
print(f"largest gradient at a critical point: {steepest:.1e}")

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.claims import claim

claim("mlae-c-critical-gradient", steepest)
claim("mlae-c-lemma-complete", all(point.num_free == 0 for point in points))

# %% [markdown]
# ## Three thresholds
#
# Going up in β, first the largest variance *becomes a local minimum*. At β* both are equally good. Last the
# smallest *stops being one*; only this last threshold is in the paper's text.
#
# **Predict:** for variances 1 and 0.05, how far apart are the first and the last, a factor of 2, of 20 or
# of 400?

# %%
prediction = None  # 2, 20 or 400

# %%
from companion.lab.prediction import told

threshold = linear.thresholds((small, 1.0), latent=1)[0]
factor = f"{threshold.vanishes / threshold.appears:.0f}"

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
print(f"appears {threshold.appears:.3g}, tie β* {threshold.tie:.4g}", end=", ")
print(f"vanishes {threshold.vanishes:.3g}: a factor of {factor}{told(prediction, 2, 20, 400)}")

# %% [markdown]
# The largest variance is a local minimum as soon as λ_max ≥ σ² = 1/(2β), the smallest as long as λ_min ≤ σ². So
# the outer thresholds are 1/(2λ_max) and 1/(2λ_min).

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-c-one-threshold", threshold.tie / threshold.vanishes)

# %%
from companion.lab.widgets import explore

explore(explorable.EXPLORABLE, beta=beta, small=small)

# %% [markdown]
# ## A memory
#
# Between the outer thresholds both directions are minima. Sweep β slowly up, each solution the start of
# the next, and then down again: the model keeps what it has for as long as it can. Here by descent on the
# exact gradient, not by formula.

# %%
import numpy as np

betas = np.geomspace(0.2, 1.25 / small, {"quick": 30}.get(profile, 120))
nudge = 1e-3  # so that a saddle is left


# %%
def follow(betas, A):
    shares = []
    for b in betas:
        noise = nudge * torch.randn(A.shape, dtype=A.dtype, generator=generator)
        A = explorable.descend(A + noise, (small, 1.0), b, steps=800)
        shares.append(float(explorable.top_share(A)))
    return np.array(shares)


# %%
start = torch.tensor([[[small**-0.5, 0.0]]], dtype=torch.float64)
up = follow(betas, start)
down = follow(betas[::-1], torch.tensor([[[0.0, 1.0]]], dtype=torch.float64))[::-1]

# %%
edges = betas[np.argmax(up > 0.5)], betas[np.argmax(down > 0.5)]
marks = {"½λ₁⁻¹": threshold.appears, "β*": threshold.tie, "½λ₂⁻¹": threshold.vanishes}

# %% mystnb={"image": {"alt": "The direction kept while beta is swept up and down: a hysteresis loop between the first and the last threshold."}}
from companion.lab.picture import Picture

panel = explorable.hysteresis(betas, up, down, marks)
says = f"The way up switches at β = {edges[0]:.3g}, the way down at β = {edges[1]:.3g}."
show(Picture([panel], says, (5.5, 3.4)))

# %%
step = betas[1] / betas[0]
print(
    f"up: {edges[0] / threshold.vanishes:.2f} of 1/(2λ_min); down: {edges[1] / threshold.appears:.2f}",
    end=" ",
)
print(f"of 1/(2λ_max); one step of the sweep is a factor of {step:.2f}")

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.claims import record

record(switch_up=float(edges[0]), switch_down=float(edges[1]), tie=threshold.tie)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-c-bottom-vanishes", float(edges[0] / threshold.vanishes))
claim("mlae-c-top-appears", float(edges[1] / threshold.appears))

# %% [markdown]
# ## Which minimum do random starts find?

# %%
starts = torch.randn(400, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
shares = {}
for scale in (0.3, 1.0, 3.0):
    for b in (0.55, 0.7, 1.577, 2.5):
        ends = explorable.descend(scale * starts, (small, 1.0), b, steps=1500)
        shares[scale, b] = float((explorable.top_share(ends) > 0.5).double().mean())

# %% tags=["hide-input"] jupyter={"source_hidden": true}
for scale in (0.3, 1.0, 3.0):
    row = ", ".join(f"{shares[scale, b]:.0%} at β = {b:g}" for b in (0.55, 0.7, 1.577, 2.5))
    print(f"starts of scale {scale:g}: {row}")
record(share_of_starts=[shares[1.0, b] for b in (0.55, 0.7, 1.577, 2.5)])

# %% [markdown]
# The share that ends on the largest variance grows smoothly with β, through the tie and beyond: descent
# does not know which minimum is the global one. And the scale of the start matters.
#
# ## What needs a tied decoder?
#
# Everything above holds for a decoder that *is* the encoder's pseudo-inverse. Networks train a free one,
# with the surrogate. Here is that in the linear model: the same loss, Adam on both maps.

# %%
from companion.models import mlae_loss


def train_free(b, seed, steps=1500):
    generator = torch.Generator().manual_seed(seed)
    A, B = (torch.nn.Parameter(torch.randn(*s, generator=generator)) for s in ((1, 2), (2, 1)))
    optimizer = torch.optim.Adam([A, B], lr=0.02)
    for _ in range(steps):
        x = torch.randn(256, 2, generator=generator) * torch.tensor([small**0.5, 1.0])
        loss = mlae_loss(x, lambda p: p @ A.T, lambda z: z @ B.T, b, kind="basis").loss.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(explorable.top_share(A.detach()[None]))


# %%
free = {b: [train_free(b, s) for s in range(2)] for b in (0.03, 0.3, 1.0)}
for b, ends in free.items():
    tied = linear.global_minimum((small, 1.0), 1, b)[0]
    print(
        f"β = {b:g}: tied minimum {'largest' if tied else 'smallest'}, free {np.round(ends, 2)} of largest"
    )

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.provenance import made

record(free_decoder_top_share=[float(np.mean(ends)) for ends in free.values()])
few = explorable.descend(starts[:20], (small, 1.0), 0.03, steps=1500)
by = made(f"N(0, diag({small:g}, 1)), exact", seeds=range(20), device="cpu", steps=1500)
claim("mlae-c-tied-decoder", explorable.top_share(few).flatten(), by)

# %% [markdown]
# The same question in three settings, over β: which share of the code is the large direction, or for the
# sinusoid the curve and not its noise?

# %%
from companion.lab.marks import Line, Points
from companion.lab.picture import Axis, Panel
from figures import draw
from figures.explorables import sinusoid

runs = sinusoid.trade_off(0.1)
ways = [
    Line(betas, up, width=3.5, alpha=0.6, label="β going up"),
    Line(betas, down, "orange", width=1.8, label="β going down"),
]
drawn = {
    "tied linear decoder": ways,
    "free linear decoder": [Points(list(free), [np.mean(v) for v in free.values()], "green")],
    "sinusoid, free decoder": draw.spread(runs["beta"], 1 - runs["alignment"], "purple"),
}

# %% mystnb={"image": {"alt": "Share of the large direction in the code over beta: a loop for the tied linear model, always the large direction for the free one, a gradual change for the sinusoid."}}
axes = Axis("β", "log", (0.008, 120)), Axis("share of the large direction", limits=(-0.1, 1.15))
panels = [Panel(marks, *axes, title=title) for title, marks in drawn.items()]
low, high = (1 - runs["alignment"][i].mean() for i in (0, -1))
says = f"Tied: a loop; free: the large direction throughout; sinusoid: {low:.2f} to {high:.2f}."
show(Picture(panels, says, (9.9, 3.1)))

# %% [markdown]
# The free linear model goes to the *largest* variance also where the tied one prefers the smallest: the
# theorem does not describe it. The sinusoid of notebook 02 does learn noise with a free decoder, but a
# nonlinear one. Three settings, three answers; say which one you mean.
#
# ## The linear VAE on the same axis
#
# A VAE with linear maps is probabilistic PCA. With decoder variance γ a direction survives exactly if
# λ > γ, and it always prefers the largest variances: its likelihood is one of the *data*, not of a
# projection that the model chose.

# %%
for gamma in (0.5 / beta, 0.5 * small, 2.0):
    vae = linear.linear_vae((small, 1.0), latent=2, decoder_variance=gamma)
    print(
        f"γ = {gamma:g}: {len(vae.active)} active, singular values {vae.singular_values.numpy().round(3)}"
    )

# %% [markdown]
# The rotation of the codes is free: any $WR$ gives the same model of the data, $WW^\top + \gamma$.

# %%
gamma = 0.5 / beta
vae = linear.linear_vae((small, 1.0), latent=2, decoder_variance=gamma)
W = torch.tensor([[0.0, 1.0], [1.0, 0.0]]) * vae.singular_values  # columns: largest first
R = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(seed))).Q

# %%
assert torch.allclose(W @ W.T, (W @ R) @ (W @ R).T, atol=1e-6)
print(f"modelled covariance, for any R:\n{(W @ W.T + gamma * torch.eye(2)).numpy().round(3)}")

# %% [markdown]
# ## Noise as a cure
#
# The paper closes with a remedy: add noise of variance σ² to the data. Every eigenvalue then is at least
# σ², on the falling side of the curve, and PCA wins.

# %%
noisy = tuple(v + 1 / (2 * beta) for v in (small, 1.0))
before, after = (linear.global_minimum(v, 1, beta)[0] for v in ((small, 1.0), noisy))

# %%
names = ("smallest", "largest")
print(
    f"β = {beta:g}: without noise the {names[before]} variance is kept, with it the {names[after]}"
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-c-noise-cures", (before, after) == (0, 1))

# %% mystnb={"image": {"alt": "The cost of each direction without and with added noise: with it both variances lie right of the top."}}
titles = "the data", "with noise of variance σ²"
costs = [
    explorable.direction_costs(values, 1 / (2 * beta), {kept}, title)
    for values, kept, title in zip(((small, 1.0), noisy), (before, after), titles, strict=True)
]
says = f"Eigenvalues {small:g} and 1 become {noisy[0]:g} and {noisy[1]:g}, right of σ² = {0.5 / beta:g}."
show(Picture(costs, says, (7.2, 3.1)))

# %% [markdown]
# ## Exercises
#
# **1.** For variances (2, 0.7, 0.3, 0.1) and two latent dimensions, list all thresholds and the sets that
# are kept at β = 1.
#
# <details><summary>Solution</summary>
#
# `linear.thresholds((2, 0.7, 0.3, 0.1), latent=2)` and `linear.local_minima(..., beta=1.0)`: always the k
# smallest together with the d − k largest.
#
# </details>

# %% tags=["hide-cell"] jupyter={"outputs_hidden": true, "source_hidden": true}
spectrum = (2.0, 0.7, 0.3, 0.1)
for t in linear.thresholds(spectrum, latent=2):
    print(f"{t.small:g} gives way to {t.large:g}: {t.appears:.3g}, {t.tie:.3g}, {t.vanishes:.3g}")
print("kept at β = 1:", linear.local_minima(spectrum, latent=2, beta=1.0))

# %% [markdown]
# **2.** Why is β* one over twice the logarithmic mean of the two variances?
#
# <details><summary>Solution</summary>
#
# log a − 2βa = log b − 2βb gives 2β = (log b − log a)/(b − a), the reciprocal of the logarithmic mean.
#
# </details>

# %% [markdown]
# ## Recall
#
# 1. At which λ is keeping a direction most expensive?
# 2. What are the three thresholds for two variances, and what happens at each?
# 3. Why does a slow sweep of β show a loop?
# 4. Which critical points does Lemma C.3 leave out?
# 5. What does the theorem assume about the decoder?
# 6. Why does a linear VAE never keep the smallest variance?

# %% [markdown]
# <details><summary>Answers</summary>
#
# 1. At λ = σ² = 1/(2β).
# 2. 1/(2λ_max): the largest becomes a local minimum; β*: the tie; 1/(2λ_min): the smallest stops being one.
# 3. Between the outer two both are minima, and a descent stays in the one where it is.
# 4. Directions of variance exactly σ²: for one latent dimension the barrier between the minima.
# 5. That it is the encoder's pseudo-inverse at every step.
# 6. Its likelihood is that of the data; what is not explained counts as noise, whatever it costs.
#
# </details>

# %% [markdown]
# ## Summary
#
# - One concave function decides: the kept directions are the ends of the spectrum.
# - There are three thresholds, and between the outer two the model has a memory.
# - The results are about tied decoders; a free linear one goes to the largest variance.
#
# ## References
#
# MLAE: Sorrenson et al. (2023), §4.2, App. C (eqs 42 to 81, Fig. 4). Tipping and Bishop (1999),
# *Probabilistic Principal Component Analysis*.
