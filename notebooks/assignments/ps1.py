# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 1 · Maps between dimensions
#
# A decoder bends a line into a curve. Equal steps of the code become long steps here and short steps
# there; what is stretched gets thinner. Four small functions and one argument about that, 60 to 90
# minutes, 20 points.
#
# Replace each `raise NotImplementedError()`. Below every question a cell checks your answer and, where
# something is off, says what. More checks run when your work is graded, so a hard-wired answer
# does not help. Please do not copy, delete or split cells.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch

from companion import jacobians, probes
from companion.course import check
from companion.lab.frame import BLUE, GREY, ORANGE, figure, show
from companion.theory import linear, variance

torch.set_default_dtype(torch.float64)


# %% nbgrader={"grade": false, "grade_id": "curve", "locked": true, "schema_version": 3, "solution": false, "task": false}
def curve(z):
    """A decoder: one code becomes a point of the plane."""
    return torch.cat([z, torch.sin(torch.pi * z / 2)], 1)  # (batch, 2)


# %% mystnb={"image": {"alt": "Forty-five equally probable codes, decoded onto a sinusoid: dense where the curve is flat and the codes are likely, sparse where it is steep."}}
z = math.sqrt(2) * torch.erfinv(torch.linspace(-0.99, 0.99, 45))[:, None]  # equally probable steps
dots, line = curve(z), curve(torch.linspace(-2.6, 2.6, 300)[:, None])
picture = figure(size=(6.4, 3))
ax = picture.subplots()
ax.plot(*line.T, color=GREY, linewidth=1)
ax.plot(*dots.T, "o", color=BLUE, markersize=5)
ax.set(xlabel="x₁", ylabel="x₂", title="45 equally probable codes, decoded", aspect="equal")
steps = (dots[1:] - dots[:-1]).norm(dim=1)
show(
    picture,
    f"Dots on a sinusoid, {steps.max() / steps.min():.0f} times further apart in some places than in others.",
)

# %% [markdown]
# ## Question 1 · Density on a curve (4 points)
#
# Codes are standard normal in $d$ dimensions and $x = g(z)$. Per unit of length (for $d = 2$, of area) on
# the manifold, $x$ has the density
#
# $$\log p(x) = \log\mathcal N(z; 0, 1) - \tfrac12\log\det\big(g'(z)^\top g'(z)\big) \qquad\text{(MLAE eq. 2).}$$
#
# Write it for any decoder. `z` is `(batch, latent)`, the result `(batch,)`; `jacobians.jacobian(decode, z)`
# gives $g'(z)$, `(batch, dim, latent)`.


# %% nbgrader={"grade": false, "grade_id": "density", "locked": false, "schema_version": 3, "solution": true, "task": false}
def log_density(decode, z):
    """log p(g(z)) per unit of length, area, ... of the manifold: (batch,)."""
    ### BEGIN SOLUTION
    J = jacobians.jacobian(decode, z)  # (batch, dim, latent)
    normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    return normal - 0.5 * torch.logdet(J.mT @ J)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "density-visible", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
z = torch.linspace(-8, 8, 4001)[:, None]
flat = check.numbers(log_density(lambda z: z, z), (4001,), "log_density").exp()
check.close(
    torch.trapezoid(flat, z[:, 0]),
    1.0,
    "the identity stretches nothing: what is left is the normal density of the code, with its constant",
)
density = check.numbers(log_density(curve, z), (4001,), "log_density").exp()
speed = jacobians.jacobian(curve, z).norm(dim=1)[:, 0]  # length on the curve for a step of the code
check.close(
    torch.trapezoid(density * speed, z[:, 0]),
    1.0,
    "over the length of the curve the density must integrate to one: stretched means thinner",
    tolerance=1e-3,
)
print("Question 1: the visible checks hold.")

# %% nbgrader={"grade": true, "grade_id": "density-hidden", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# More checks of question 1 run here when your work is graded.
### BEGIN HIDDEN TESTS
B = torch.tensor([[2.0, 1.0], [0.0, 1.0], [1.0, -1.0]])  # the columns are not at right angles
z = torch.randn(7, 2, generator=torch.Generator().manual_seed(1))
check.close(
    log_density(lambda z: z @ B.T, z),
    -0.5 * z.square().sum(1) - math.log(2 * math.pi) - 0.5 * torch.logdet(B.T @ B),
    "a surface in space: both codes count, and areas grow by the root of det(g'ᵀg')",
)
check.close(
    log_density(lambda z: 3 * (z @ B.T), z),
    log_density(lambda z: z @ B.T, z) - 2 * math.log(3),
    "three times as large means nine times the area and a ninth of the density",
)
### END HIDDEN TESTS

# %% [markdown]
# Your density, drawn as the width of the curve:

# %% mystnb={"image": {"alt": "The density on the sinusoid as the width of a line: widest on the crests, where the curve is flat."}}
z = torch.linspace(-2.6, 2.6, 400)[:, None]
width = log_density(curve, z).exp()
picture = figure(size=(6.4, 3))
ax = picture.subplots()
ax.scatter(*curve(z).T, s=220 * width, color=BLUE, linewidths=0)
ax.set(xlabel="x₁", ylabel="x₂", title="wide where the density is high", aspect="equal")
show(picture, f"The density on the sinusoid is highest at code {float(z[width.argmax(), 0]):+.1f}.")

# %% [markdown]
# ## Question 2 · Two encoders for one decoder (4 points)
#
# The decoder below bends the codes $-\pi < z < \pi$ into a circle. An encoder $f$ is its *pseudo-inverse* if
#
# 1. codes survive: $f(g(z)) = z$, and
# 2. it projects at right angles: $f'(\hat x) = g'(z)^+$, so that a step off the circle leaves the code alone.
#
# Write `straight`, which does both, and `slanted`, which does only the first. `x` is `(batch, 2)`, the code
# `(batch, 1)`. `jacobians.defect(x, encode, decode).log_volume` is zero for the one and positive for the
# other: it is what the one-pass loss of MLAE neglects.


# %% nbgrader={"grade": false, "grade_id": "circle", "locked": true, "schema_version": 3, "solution": false, "task": false}
def circle(z):
    return 2 * torch.cat([z.cos(), z.sin()], 1)  # (batch, 2)


# %% nbgrader={"grade": false, "grade_id": "encoders", "locked": false, "schema_version": 3, "solution": true, "task": false}
def straight(x):
    """Encodes at right angles to the circle: (batch, 1)."""
    ### BEGIN SOLUTION
    return torch.atan2(x[:, 1:], x[:, :1])
    ### END SOLUTION


def slanted(x):
    """Returns every code of the circle, but not at right angles to it: (batch, 1)."""
    ### BEGIN SOLUTION
    return straight(x) + x.norm(dim=1, keepdim=True) - 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "encoders-visible", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
z = torch.linspace(-3, 3, 25)[:, None]
for name, encode in {"straight": straight, "slanted": slanted}.items():
    check.close(
        encode(circle(z)),
        z,
        f"{name}: decode and encode must give the code back on all of the circle, also on its left half",
    )
check.close(
    jacobians.defect(circle(z), straight, circle).log_volume,
    torch.zeros(25),
    "straight: a step off the circle must not change the code, but it does: the defect is not zero",
)
check.holds(
    jacobians.defect(circle(z), slanted, circle).log_volume > 0.1,
    "slanted: this one projects at right angles too; let the code change with the distance from the centre",
)
print("Question 2: the visible checks hold.")

# %% nbgrader={"grade": true, "grade_id": "encoders-hidden", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# More checks of question 2 run here when your work is graded.
### BEGIN HIDDEN TESTS
z = 6 * torch.rand(40, 1, generator=torch.Generator().manual_seed(2)) - 3
check.close(straight(circle(z)), z, "straight: codes between those of the visible check are lost")
check.close(slanted(circle(z)), z, "slanted: codes between those of the visible check are lost")
check.close(
    jacobians.log_volume_encoder(straight, circle(z)),
    -jacobians.log_volume(circle, z),
    "straight: a pseudo-inverse shrinks exactly as much as the decoder stretches (MLAE eq. 34)",
)
check.holds(
    jacobians.log_volume_encoder(slanted, circle(z)) > -jacobians.log_volume(circle, z) + 0.1,
    "slanted: where it does not project at right angles its log-volume must be larger",
)
### END HIDDEN TESTS

# %% [markdown]
# ## Question 3 · Which direction does a linear code keep? (4 points)
#
# Data in the plane with variances `small` < `large`, one code, encoder $z = Ax$, decoder $\hat x = A^+z$. The
# loss is (MLAE eq. 46)
#
# $$\mathcal L(A) = \tfrac12\operatorname{tr}(A\Sigma A^\top) - \tfrac12\log\det(AA^\top) +
#   \beta\operatorname{tr}\big(\Sigma(1 - A^+A)\big).$$
#
# **a.** Put in $A = a\,u^\top$ with a unit vector $u$, whose direction has the variance `kept`; the other one
# has the variance `lost`. Find the best $a$ and write what is left as a function of plain numbers.
#
# **b.** Turn $u$ a little: `kept` becomes any $s$ between `small` and `large`, and `lost` the rest,
# `small + large` $- s$. Three β matter: from `appears` on, keeping the large direction is a local minimum;
# at `tie` both directions cost the same; until `vanishes`, keeping the small one is a local minimum.


# %% nbgrader={"grade": false, "grade_id": "directions", "locked": false, "schema_version": 3, "solution": true, "task": false}
def direction_loss(kept, lost, beta):
    """The loss of keeping a direction, at the best scale of the encoder."""
    ### BEGIN SOLUTION
    return 0.5 + 0.5 * math.log(kept) + beta * lost
    ### END SOLUTION


def thresholds(small, large):
    """The three β: (appears, tie, vanishes)."""
    ### BEGIN SOLUTION
    tie = (math.log(large) - math.log(small)) / (2 * (large - small))
    return 1 / (2 * large), tie, 1 / (2 * small)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "directions-visible", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
rise = direction_loss(0.3, 1.1, 2.0) - direction_loss(0.3, 1.1, 1.0)
check.close(
    rise,
    1.1,
    "the loss must grow with beta times the reconstruction error, which is the lost variance",
)
check.close(
    direction_loss(1.0, 0.3, 1.0),
    0.8,
    "at the best scale the code has variance one, so that its first term is ½",
)
appears, tie, vanishes = check.numbers(thresholds(0.05, 1.0), (3,), "thresholds").tolist()
gap = direction_loss(0.05, 1.0, tie) - direction_loss(1.0, 0.05, tie)
check.close(gap, 0.0, "at the tie both directions must cost the same")
check.holds(
    appears < tie < vanishes,
    "on both sides of the tie there must be a β at which both directions are local minima",
)
print("Question 3: the visible checks hold.")

# %% nbgrader={"grade": true, "grade_id": "directions-hidden", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# More checks of question 3 run here when your work is graded.
### BEGIN HIDDEN TESTS
for small, large, beta in ((0.05, 1.0, 0.7), (0.3, 2.0, 3.0)):
    A = torch.tensor([[small**-0.5, 0.0]])
    check.close(
        direction_loss(small, large, beta),
        linear.loss(A, torch.diag(torch.tensor([small, large])), beta),
        "direction_loss is not the loss of the encoder that keeps that direction: look at each term's sign",
    )
    got = check.numbers(thresholds(small, large), (3,), "thresholds")
    right = linear.thresholds((small, large), latent=1)[0]
    check.close(got[0], right.appears, "appears: at s = large the loss must begin to fall with s")
    check.close(got[1], right.tie, "tie: both directions must cost the same")
    check.close(got[2], right.vanishes, "vanishes: at s = small the loss must stop rising with s")
### END HIDDEN TESTS

# %% [markdown]
# Your two losses, and your three thresholds:

# %% mystnb={"image": {"alt": "The losses of keeping either direction against beta: the smaller variance is better on the left of the tie, the larger one on its right."}}
marks = dict(zip(("appears", "tie", "vanishes"), thresholds(0.05, 1.0), strict=True))
beta = torch.logspace(-1, 1.4, 100).tolist()
picture = figure(size=(6.4, 3.2))
ax = picture.subplots()
ax.plot(beta, [direction_loss(0.05, 1.0, b) for b in beta], color=BLUE, label="keep 0.05")
ax.plot(beta, [direction_loss(1.0, 0.05, b) for b in beta], color=ORANGE, label="keep 1")
for name, value in marks.items():
    ax.axvline(value, color=GREY, linestyle=":")
    ax.text(value, 8.3, f"{name}\n{value:.3g}", ha="center", fontsize=8)
ax.set(xscale="log", xlabel="β", ylabel="loss", ylim=(-2, 8))
ax.minorticks_off()
ax.legend(loc="center left")
show(picture, f"Two losses against β, equal at the tie of {marks['tie']:.3g}.")

# %% [markdown]
# ## Question 4 · How noisy is one probe? (4 points)
#
# A probe $v$ with independent entries $\pm1$ gives $v^\top A v$, whose mean is $\operatorname{tr} A$: a trace
# without looking at the diagonal. Write
#
# - `estimates(A, v)`: $v^\top A v$ for each row of `v`, which is `(probe, size)`, as `(probe,)`;
# - `estimate_variance(A)`: the variance of one such number, from the entries of any square `A`, without a
#   simulation. What does $v^\top A v$ make of the diagonal? And what of an entry together with its mirror image?
#
# (`variance.trace_variance` knows the answer. It is the judge; you are not supposed to call it.)


# %% nbgrader={"grade": false, "grade_id": "probes", "locked": false, "schema_version": 3, "solution": true, "task": false}
def estimates(A, v):
    """One estimate of the trace for each probe: (probe,)."""
    ### BEGIN SOLUTION
    return torch.einsum("ki,ij,kj->k", v, A, v)
    ### END SOLUTION


def estimate_variance(A):
    """The variance of an estimate with one Rademacher probe, a single number."""
    ### BEGIN SOLUTION
    S = (A + A.mT) / 2
    return 2 * (S.square().sum() - S.diagonal().square().sum())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "probes-visible", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
A = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.0]])
v = probes.sample("rademacher", 20000, A[:1], torch.Generator().manual_seed(0))[:, 0]  # (probe, 3)
found = check.numbers(estimates(A, v), (20000,), "estimates")
check.close(found.mean(), A.trace(), "the mean over many probes must be the trace", tolerance=0.02)
spread = check.numbers(estimate_variance(torch.diag(A.diagonal())), (), "estimate_variance")
check.close(spread, 0.0, "each v² is 1: a diagonal matrix is estimated without error")
check.close(
    estimate_variance(A),
    found.var(),
    "your estimates vary by another amount; how often is each pair of entries counted?",
    tolerance=0.05,
)
print("Question 4: the visible checks hold.")

# %% nbgrader={"grade": true, "grade_id": "probes-hidden", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# More checks of question 4 run here when your work is graded.
### BEGIN HIDDEN TESTS
A = torch.randn(5, 5, generator=torch.Generator().manual_seed(4))  # not symmetric
basis = probes.sample("basis", 5, A[:1])[:, 0]
check.close(estimates(A, basis).mean(), A.trace(), "along the axes the mean is exactly the trace")
check.close(
    estimate_variance(A + A.mT),
    4 * estimate_variance(A),
    "vᵀAv does not see the skew part of A: only (A + Aᵀ)/2 may count",
)
check.close(
    estimate_variance(A),
    variance.trace_variance(A, "rademacher"),
    "not the variance of one Rademacher probe (MLAE eq. 93)",
)
### END HIDDEN TESTS

# %% [markdown]
# Your estimates for a matrix of size 30, with the mean and the standard deviation that you predict:

# %% mystnb={"image": {"alt": "A histogram of 5000 estimates of a trace around the true one, with a band of one predicted standard deviation."}}
generator = torch.Generator().manual_seed(1)
A = torch.eye(30) + 0.1 * torch.randn(30, 30, generator=generator)
v = probes.sample("rademacher", 5000, A[:1], generator)[:, 0]
trace, deviation = float(A.trace()), float(estimate_variance(A)) ** 0.5
picture = figure(size=(6.4, 3))
ax = picture.subplots()
ax.hist(estimates(A, v), bins=50, color=BLUE, alpha=0.5)
ax.axvline(trace, color="black", label="trace")
ax.axvspan(
    trace - deviation,
    trace + deviation,
    color=ORANGE,
    alpha=0.3,
    zorder=0,
    label="± your deviation",
)
ax.set(xlabel="estimate of the trace", ylabel="probes")
ax.legend()
inside = float(((estimates(A, v) - trace).abs() < deviation).double().mean())
show(picture, f"{inside:.0%} of the estimates lie within one predicted standard deviation.")

# %% [markdown]
# ## Question 5 · Is the training broken? (4 points, read by a person)
#
# A colleague trains the linear model on the variances 1 and 0.05. At β = 0.6 it keeps the direction of
# variance 0.05. Then β is raised to 2 in small steps, each training started from the last result, and the model
# *still* keeps it. "Theory says that the large variance is better there. The training must be broken."
#
# Answer in at most eight lines, with the numbers in your picture above. One point each for
#
# - where 0.6 and 2 lie among the three thresholds;
# - which directions are local minima there, and which is the better one;
# - why the descent does not get from one to the other;
# - one way to make the model keep the large variance, and why it works.

# %% [markdown] nbgrader={"grade": true, "grade_id": "hysteresis", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# The training does what it should. Both β lie between `appears` and `vanishes`: both directions are local
# minima at either of them. At 0.6, left of the tie, the small variance is the better one; at 2, right of the
# tie, the large one.
#
# Gradient descent only goes downhill, and between the two minima lies a barrier: the directions with variance
# $s = 1/2\beta$, where the loss is largest. A warm start stays in the valley where it was.
#
# To leave it: raise β beyond `vanishes`, where the small direction is no minimum any more, and come back; the
# valley of the large one goes down to `appears`. Or start each β anew, from several starts or from PCA.
