# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here
#
# **Question.** An autoencoder squeezes data through a bottleneck and unpacks them again. Train it by
# *maximum likelihood* and one number, β, decides what it keeps. What does β do to what it learns?
#
# Theory can wait; first the picture. Points lie near a sinusoid, and each is to be squeezed into one number,
# its *code*. The number may say where *along* the curve a point lies, or how far *across* it.

# %% mystnb={"image": {"alt": "Points near a sinusoid; at one of them two lines, one along the curve and one across it."}}
from companion.lab.frame import show
from figures.explorables import sinusoid

show(sinusoid.posed(noise=0.1))

# %% [markdown]
# After this notebook you can
#
# 1. run a notebook of this course, set its parameters and move its sliders;
# 2. train a maximum-likelihood autoencoder in six lines;
# 3. find your way: which notebook answers which question.
#
# It takes less than a minute.

# %% tags=["parameters"]
profile = "quick"  # quick, standard or full
seed = 0
device = "cpu"
beta = 10.0  # weight of the reconstruction error

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.parameters import PROFILES, between, device_name, guard, seed_number

guard(
    globals(),
    profile=PROFILES,
    seed=seed_number,
    device=device_name,
    beta=between(0.001, 1000),
)

# %% [markdown]
# Every notebook starts like this: defaults in one cell, then a guard (folded, as all plumbing is) that
# refuses what it does not know. `companion run 00 -p beta 0.1` runs the whole notebook with another β, without a
# browser.

# %% [markdown]
# ## Predict, commit, move, explain
#
# Four words, in this order, in every notebook. **Predict:** a panel begins with a question. **Commit:** choose
# an answer; until then the sliders are locked. **Move** the slider from one end to the other; it jumps between
# trained values of β. (Without a kernel, on the web page of this course, it moves too.)
#
# The colour of a point is its code. The thick line is the decoder for codes between −2.5 and 2.5.

# %%
from companion.lab.widgets import explore

explore(sinusoid.EXPLORABLE, seed=seed, beta=beta, noise=(0.1,))

# %% [markdown]
# **Explain:** that is what notebook 02 is for. In one sentence: likelihood is measured on the line that
# the model chose itself, and a short line makes the projected data look likely; only the reconstruction
# error, weighted by β, objects. The two ends side by side:

# %% tags=["hide-output"] jupyter={"outputs_hidden": true} mystnb={"image": {"alt": "Noisy sinusoid under a small and a large beta: at small beta a short line near the centre, with colours that change across the data; at large beta the line follows the curve."}}
show(sinusoid.gallery((0.01, 100.0), seed=0, noise=0.1))

# %% [markdown]
# ## Six lines
#
# Any encoder and any decoder will do, as long as they map a batch to a batch.
#
# **Predict:** the trained model will make 500 new points, each from one random number. Will they lie in a
# cloud around the sinusoid, as the data do, or on a line? Where there is no panel, the answer goes into a cell
# like this one, between quotes:

# %%
prediction = None  # "cloud" or "line"

# %%
import torch

from companion.data.toy import Sinusoid
from companion.models import MLAE
from companion.networks import MLP
from companion.training import TrainConfig, fit

# %%
torch.manual_seed(seed)
data = Sinusoid(noise=0.1).sample(8180, torch.Generator().manual_seed(seed))
x, x_valid = data.split([7680, 500])
encoder, decoder = MLP(2, 1, [64, 64]), MLP(1, 2, [64, 64])
model = MLAE(encoder, decoder, data_shape=(2,), latent_dim=1, beta=beta)
config = TrainConfig(epochs=20, learning_rate=5e-3, seed=seed, device=device)
log = fit(model, x, x_valid, config, progress=False)
samples = model.sample(500, generator=torch.Generator().manual_seed(seed)).detach().cpu()

# %% tags=["hide-output"] jupyter={"outputs_hidden": true} mystnb={"image": {"alt": "Left: validation error falling over the epochs of training. Right: data in grey and samples of the model as orange points on its one-dimensional manifold."}}
from companion.lab.marks import Line, Points
from companion.lab.picture import Axis, Panel, Picture

falls = Panel([Line(*log.curve("valid_reconstruction"))], Axis("epoch"), Axis("mean ‖x̂ − x‖²"))
given = Points(*x[:500].T, "grey", size=2, label="data")
drawn = Points(*samples.T, "orange", size=2, label="samples")
words = f"Error falls to {log.column('valid_reconstruction')[-1]:.3f}; data and samples."
show(Picture([falls, Panel([given, drawn], Axis("x₁"), Axis("x₂"))], words))

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
from companion.lab.prediction import told

line = model.cpu().decode(torch.linspace(-6, 6, 4001)[:, None]).detach()
off, apart = (torch.cdist(points, line).min(1).values.mean() for points in (samples, x[:500]))
print(f"distance from the decoder's line: samples {off:.4f}, data {apart:.4f}", end="")
print(told(prediction, "cloud", "line"))

# %% [markdown]
# The model generates by decoding standard normal codes: all samples lie on its line.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.claims import record

record(nll=log.column("valid_nll")[-1], reconstruction=log.column("valid_reconstruction")[-1])

# %% [markdown]
# ## Exercise
#
# Change `beta` in the parameters cell to 0.05 and run all cells again. Where do the samples go? The *negative
# log-likelihood* (NLL) says how unlikely the model finds the data, in nats, the unit of natural logarithms. Is it
# smaller now or larger, and is that good news?
#
# <details><summary>Solution</summary>
#
# The samples shrink to a short stretch instead of spanning the sinusoid, and the error rises; how far
# depends on the seed. The NLL is smaller because the projected data have less entropy, not because the
# model is better: likelihoods on different manifolds cannot be compared. Notebook 02 repeats this over
# five seeds.
#
# </details>

# %% [markdown]
# ## Recall
#
# 1. What does the colour of a point show in the panel?
# 2. Which term of the loss does β weigh?
# 3. How does the model generate new data?
# 4. Where do all samples of a model with one latent dimension lie?
# 5. What does the guard cell protect you from?
#
# <details><summary>Answers</summary>
#
# 1. The latent code, one number.
# 2. The squared reconstruction error.
# 3. It draws a standard normal code and decodes it.
# 4. On a curve: the image of the decoder.
# 5. From a misspelt parameter, which would otherwise be ignored, and from values that make no sense.
#
# </details>

# %% [markdown]
# ## The map of the course
#
# | | notebook | what you move | study |
# |---|---|---|---|
# | 00 | [Start here](00_start_here.ipynb) | β | 15 min |
# | 01 | [Change of variables across dimensions](01_change_of_variables.ipynb) | stretch, bend | 90 min |
# | 02 | [The noisy sinusoid: which number does likelihood keep?](02_noisy_sinusoid.ipynb) | β, noise | 75 min |
# | 03 | [The semicircle: a well without a bottom, and its cure](03_semicircle.ipynb) | β, start, on or off the manifold | 60 min |
# | 04 | [The linear model: three thresholds and a memory](04_linear_model.ipynb) | β = 1/2σ² = 1/2γ | 45 min |
# | 05 | [Trace estimators: how much can one random vector tell?](05_trace_estimators.ipynb) | K, kind of probe | 105 min |
# | 06 | [Rectangular flows: an inverse by iteration, or in one pass](06_rectangular_flows.ipynb) | K, d, tolerance | 90 min |
# | 07 | [Relaxed injective flows: what a bound pays for](07_relaxed_injective_flows.ipynb) | λ, η, μ | 75 min |
# | 08 | [Autoencoders within flows: nothing is lost, and what that is worth](08_autoencoders_within_flows.ipynb) | core, latents | 90 min |
# | 09 | [The learned decoder variance and the second stage](09_learned_variance.ipynb) | γ, r, how γ gets there | 90 min |
# | 10 | [The VAE without sampling](10_vae_without_sampling.ipynb) | γ (weight), c | 75 min |
# | 11 | [Digits: how much of the data does a model keep?](11_mnist.ipynb) | β, γ, one change | 75 min |
# | 12 | [Faces: CelebA, and faces that come with the answer](12_celeba.ipynb) | β, γ | 75 min |
# | 13 | [All models side by side](13_all_models.ipynb) | β, γ | 75 min |

# %% [markdown]
# ## Summary
#
# - A maximum-likelihood autoencoder is a plain autoencoder with one more term in its loss.
# - β prices reconstruction against likelihood; too small a β learns the noise.
# - Predict, commit, move, explain.

# %% [markdown]
# ## References
#
# Sorrenson et al. (2023), *Maximum Likelihood Training of Autoencoders*, Fig. 3.
