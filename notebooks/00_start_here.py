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
# Theory can wait; first the picture. Points near a sinusoid, squeezed into one number each (the colour);
# the thick line is the decoder for codes between −2.5 and 2.5.

# %% mystnb={"image": {"alt": "Noisy sinusoid under a small and a large beta: at small beta a short line near the centre, with colours that change across the data; at large beta the line follows the curve."}}
from companion.lab.frame import show
from figures.explorables import sinusoid

show(*sinusoid.gallery((0.01, 100.0), seed=0, noise=0.1))

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

# %%
from companion.lab.parameters import PROFILES, between, device_name, guard, seed_number

guard(
    globals(),
    profile=PROFILES,
    seed=seed_number,
    device=device_name,
    beta=between(0.001, 1000),
)

# %% [markdown]
# Every notebook starts like this: defaults in one cell, then a guard that refuses what it does not
# know. `companion run 00 -p beta 0.1` runs the whole notebook with another β, without a browser.

# %% [markdown]
# ## Predict, commit, move, explain
#
# Four words, in this order, in every notebook. **Predict:** at the smallest β, will the colour (the code)
# change mainly along the sinusoid or mainly across it? **Commit:** write it down.

# %%
prediction = "along"  # "along" or "across"

# %% [markdown]
# **Move** the slider from one end to the other; it jumps between thirteen trained values of β. (Without a
# kernel, on the web page of this course, it moves too.)

# %%
from companion.lab.widgets import explore

explore(sinusoid.EXPLORABLE, seed=seed, beta=beta, noise=(0.1,))

# %%
smallest = sinusoid.STUDY(0, beta=0.01, noise=0.1)
answer = "across" if smallest.alignment > 0.5 else "along"
print(f"at β = 0.01 the code changes mostly {answer} the sinusoid; you predicted {prediction}")

# %% [markdown]
# **Explain:** that is what notebook 02 is for. In one sentence: likelihood is measured on the line that
# the model chose itself, and a short line makes the projected data look likely; only the reconstruction
# error, weighted by β, objects.

# %% [markdown]
# ## Six lines
#
# Any encoder and any decoder will do, as long as they map a batch to a batch.

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

# %% mystnb={"image": {"alt": "Left: validation error falling over the epochs of training. Right: data in grey and samples of the model as orange points on its one-dimensional manifold."}}
from figures import plots

figure = plots.figure(2)
left, right = figure.subplots(1, 2)
plots.learning_curve(left, log.curve("valid_reconstruction"), "mean ‖x̂ − x‖²")
right.plot(*x[:500].T, ".", color=plots.GREY, markersize=3, label="data")
right.plot(*samples.T, ".", color=plots.ORANGE, markersize=3, label="samples")
right.set(xlabel="x₁", ylabel="x₂")
right.legend(frameon=False)
show(figure, f"Error falls to {log.column('valid_reconstruction')[-1]:.3f}; samples lie on a line.")

# %% [markdown]
# The model generates by decoding standard normal codes: all samples lie on its line.

# %%
from companion.lab.claims import record

record(nll=log.column("valid_nll")[-1], reconstruction=log.column("valid_reconstruction")[-1])

# %% [markdown]
# ## Exercise
#
# Change `beta` in the parameters cell to 0.05 and run all cells again. Where do the samples go? And is
# the NLL, which is smaller now, good news?
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
# 1. What does the colour of a point show in the first picture?
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
# | | notebook | control |
# |---|---|---|
# | 00 | start here | β |
# | 01 | [change of variables](01_change_of_variables.ipynb): an interval, stretched and thinned | stretch, bend |
# | 02 | [the noisy sinusoid](02_noisy_sinusoid.ipynb): too little β learns the noise | β, noise |
# | 03 | [the semicircle](03_semicircle.ipynb): a well without a bottom, and its cure | β, start |
# | 04 | [the linear model](04_linear_model.ipynb): three thresholds and a memory | β |
# | 05 | [trace estimators](05_trace_estimators.ipynb): how much one random vector tells | K, kind |
# | 06 | [rectangular flows](06_rectangular_flows.ipynb): an inverse by iteration, or in one pass | K, d |
# | 07 | [relaxed injective flows](07_relaxed_injective_flows.ipynb): what a bound pays for | λ, η, μ |
# | 08 | [autoencoders within flows](08_autoencoders_within_flows.ipynb): nothing is lost | core, latents |
# | 09 | [the learned decoder variance](09_learned_variance.ipynb): blur, dimensions, a second stage | γ |
# | 10 | [the VAE without sampling](10_vae_without_sampling.ipynb): no noise, but which bound? | γ (weight), c |
# | 11 | [digits](11_mnist.ipynb): real images, samples, spectra | β |
# | 12 | [faces](12_celeba.ipynb): CelebA, and faces that come with the answer | β, γ |
# | 13 | [all models side by side](13_all_models.ipynb): nineteen models, one table | β, γ |

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
