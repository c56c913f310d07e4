# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · Digits: a maximum-likelihood autoencoder on real images
#
# **Question.** On a toy we could see what the code learned. Images have hundreds of numbers: how do we
# tell whether the model uses its latent dimensions, whether its codes look like the prior that we sample
# from, and whether what it generates is a digit?
#
# These are the data, real handwritten digits:

# %%
from companion import plots
from companion.contracts import as_float
from companion.data import images
from companion.plots import show

digits = images.load("digits")

# %% mystnb={"image": {"alt": "Forty real handwritten digits of eight by eight pixels."}}
figure = plots.figure(size=(6, 2.6))
plots.image_grid(figure.subplots(), as_float(digits.train.x[:40]), columns=10)
show(figure, f"40 of {len(digits.train.x)} real handwritten digits, 8×8 pixels each.")

# %% [markdown]
# After this notebook you can
#
# 1. train a conditional autoencoder by maximum likelihood on images;
# 2. judge reconstructions on held-out images, and samples by a classifier that never saw them;
# 3. read the decoder's singular values as the use of each latent dimension;
# 4. compare codes with the standard normal that you sample from.
#
# `quick` uses the 8×8 digits inside scikit-learn (under a minute). `standard` uses MNIST on a CPU, `full`
# MNIST with the batch, latent size and epochs of MLAE App. E on a GPU.

# %% tags=["parameters"]
profile = "quick"  # quick, standard or full
seed = 0
device = "auto"
beta = 2.0  # weight of the reconstruction error
num_probes = 1  # K, Hutchinson probes per sample
dataset = "auto"  # auto (by profile), digits, mnist, fashion-mnist or kmnist
test_files_only = False  # split the 10,000 test images when the training files are not there

# %%
from companion.parameters import PROFILES, device_name, guard, positive, whole

guard(
    globals(), profile=PROFILES, seed=whole, device=device_name, beta=positive,
    num_probes=(1, 2, 4, 8), dataset=("auto", *images.NAMES), test_files_only=(False, True),
)  # fmt: skip

# %% [markdown]
# ## Data
#
# Training, validation and test images never overlap. Each image comes with its label, one-hot, as the
# *condition* of both networks (MLAE App. E.2): the code need not say which digit it is.

# %%
if dataset == "auto":
    dataset = "digits" if profile == "quick" else "mnist"
data = images.load(dataset, test_files_only=test_files_only, seed=seed)
print(data.note, [len(part.x) for part in (data.train, data.valid, data.test)])


# %%
def unit(split):
    return as_float(split.x), images.one_hot(split.y, 10)


x, labels = unit(data.train)
x_valid, labels_valid = unit(data.valid)
x_test, labels_test = unit(data.test)
shape = tuple(x.shape[1:])

# %% [markdown]
# ## Model
#
# The loss is the one of notebook 02, and Gaussian noise of 0.1 is added to every training image. At `quick` and `standard` both networks are fully connected with a
# linear skip, at `full` convolutional. (The paper's own networks, Tables 7 to 9, are not here yet.)

# %%
import torch

from companion.models import MLAE
from companion.networks import MLP, ConvDecoder, ConvEncoder

torch.manual_seed(seed)
small = dataset == "digits"

# %%
latent, width = (8, 256) if small else (16, 512)
nets, options = (MLP, MLP), {"hidden": (width, width), "condition_dim": 10, "residual": True}
if profile == "full":
    nets, options = (ConvEncoder, ConvDecoder), {"channels": (128, 256, 512), "condition_dim": 10}
encoder, decoder = nets[0](shape, latent, **options), nets[1](latent, shape, **options)
model = MLAE(encoder, decoder, shape, latent, beta=beta, num_probes=num_probes)

# %% [markdown]
# **Predict:** by the end of training, will the error on held-out digits be near the error on training
# digits, twice as large, or ten times?

# %%
prediction = "twice"  # "near", "twice" or "ten times"

# %%
from companion.training import TrainConfig, fit

epochs = {"quick": 120, "standard": 40, "full": 400}[profile]
batch_size = 512 if profile == "full" else 128 if small else 256

# %%
config = TrainConfig(
    epochs=epochs, batch_size=batch_size, learning_rate=2e-3, noise=0.1, seed=seed,
    device=device, validate_every=max(1, epochs // 20), validate_on=100,
)  # fmt: skip
log = fit(model, x, x_valid, config, condition=labels, valid_condition=labels_valid, progress=False)
model = model.cpu().eval()

# %% mystnb={"image": {"alt": "Left: validation reconstruction error over epochs. Right: exact validation negative log-likelihood over epochs."}}
figure = plots.figure(2, size=(4.3, 2.8))
left, right = figure.subplots(1, 2)
plots.learning_curve(left, log.curve("valid_reconstruction"), "mean ‖x̂ − x‖² (validation)")
plots.learning_curve(right, log.curve("valid_nll"), "exact NLL, nats (validation)", plots.ORANGE)
show(
    figure, f"Over {epochs} epochs the error falls to {log.column('valid_reconstruction')[-1]:.2f}."
)

# %% [markdown]
# The NLL is exact, with all singular values of the decoder's Jacobian; the surrogate that trains the
# model is never shown as a likelihood, because it is none. Where it *rises* while the error still falls,
# nothing is wrong: the decoder spreads over more of the data, the projected data gain entropy (notebook
# 02), and the NLL follows. It is no criterion for stopping.

# %% [markdown]
# ## Reconstructions


# %%
@torch.no_grad()
def reconstruct(x, labels):
    return model.decode(model.encode(x, labels), labels)


# %% mystnb={"image": {"alt": "Held-out digits in the upper row, their reconstructions in the lower row."}}
pairs = torch.cat([x_test[:12], reconstruct(x_test[:12], labels_test[:12])])
figure = plots.figure(size=(7.5, 1.9))
plots.image_grid(figure.subplots(), pairs, columns=12, separators=[1])
show(figure, "Twelve held-out digits above, their reconstructions below.")

# %%
from companion.evaluation import evaluate

held_out = evaluate(model, x_test[:300], labels_test[:300])
seen = evaluate(model, x[:300], labels[:300])
ratio = held_out.reconstruction / seen.reconstruction
answer = "near" if ratio < 1.5 else "twice" if ratio < 5 else "ten times"
print(f"held-out over training error: {ratio:.1f}, so {answer}; you said {prediction}")

# %%
means = torch.stack([x[data.train.y == c].mean(0) for c in range(10)])
class_error = (x_test - means[data.test.y]).square().flatten(1).sum(1).mean()
print(f"error {held_out.reconstruction:.2f}; with the mean image of each class {class_error:.2f}")

# %%
from companion.claims import record

record(
    test_reconstruction=held_out.reconstruction,
    test_nll=held_out.nll,
    num_test=held_out.num_samples,
)

# %% [markdown]
# ## Samples
#
# Draw a code from $N(0, T^2)$, say which digit, decode. A temperature $T < 1$ stays nearer to the origin:
# safer and more alike.

# %% mystnb={"image": {"alt": "Samples of all ten digits at three temperatures, one block of rows for each temperature."}}
temperatures = (0.5, 0.7, 1.0)
which = torch.arange(20) % 10
figure = plots.figure(1, 3, size=(6.4, 1.6))
for ax, t in zip(figure.subplots(3, 1), temperatures, strict=True):
    generator = torch.Generator().manual_seed(seed)
    sample = model.sample(20, images.one_hot(which, 10), t, generator).detach()
    plots.image_grid(ax, sample, columns=10, title=f"T = {t:g}")
show(figure, "Two samples of each digit at temperatures 0.5, 0.7 and 1.")

# %% [markdown]
# How many of them are digits? A classifier trained on the same real digits counts an image as recognised
# if it gives one class at least 90 %. Read the share between two references: real digits, and noise with
# the pixels' own means and spreads, to which it also says yes now and then. A share above that of real
# digits is not better than real: such samples avoid the odd digits. So their variety, the variance
# within a class, stands beside it.

# %%
from companion.evaluation import Recogniser

judge = Recogniser(x, data.train.y, x_test, data.test.y, seed=seed)
print(f"accuracy on real test digits: {judge.test_accuracy:.1%}")

# %%
which = torch.arange(500) % 10
condition = images.one_hot(which, 10)
generator = torch.Generator().manual_seed(seed)
samples = [model.sample(500, condition, t, generator).detach() for t in temperatures]
found = [judge(sample) for sample in samples]
noise = judge(x.mean(0) + x.std(0) * torch.randn(500, *shape, generator=generator))


# %%
def variety(images, classes):
    within = [images[classes == c].var(0).sum() for c in range(10)]
    return float(torch.stack(within).mean())


# %%
for t, result, sample in zip(temperatures, found, samples, strict=True):
    print(f"T = {t:g}: {result.share:.1%} recognised, variance {variety(sample, which):.2f}")
real = judge(x_test)
print(f"real: {real.share:.1%} recognised, variance {variety(x_test, data.test.y):.2f}")
print(f"noise: {noise.share:.1%} recognised")

# %%
as_asked = [float((result.classes == which.numpy()).mean()) for result in found]
record(recognised=[r.share for r in found], recognised_as_asked=as_asked, threshold=noise.threshold)
record(recognised_real=real.share, recognised_noise=noise.share)
record(classifier=noise.classifier, classifier_accuracy=judge.test_accuracy)

# %% [markdown]
# ## Which latent dimensions are used?
#
# The singular values of the decoder's Jacobian say how far an image moves for one unit of code, along
# the best direction, the second best, and so on (MLAE Fig. 7). Their logarithms sum to the log-volume,
# whose mean over codes, added to the entropy of the prior, gives the entropy of what the model generates
# (eq. 117). The dashed line is the model's own noise scale, σ = 1/√(2β): a direction that moves the image
# by less is priced like noise.

# %%
from companion.evaluation import decoder_spectrum

spectrum = decoder_spectrum(model, 200, condition[:200], torch.Generator().manual_seed(seed))
codes = model.encode(x_test, labels_test).detach()

# %% mystnb={"image": {"alt": "Left: singular values of the decoder, largest first, with a band. Right: histogram of the entries of test codes beside the standard normal density."}}
figure = plots.figure(2)
left, right = figure.subplots(1, 2)
plots.spectrum(left, spectrum.mean, spectrum.std)
sigma = (2 * beta) ** -0.5
left.axhline(sigma, color=plots.GREY, linestyle="--")
plots.codes_against_normal(right, codes)
show(
    figure, f"{int((spectrum.mean >= sigma).sum())} of {latent} singular values exceed {sigma:.2f}."
)

# %% [markdown]
# A code should look standard normal, since that is what we sample from. The histogram pools all entries
# and cannot show correlations; the distance between the Gaussians that fit two samples can (squared
# Wasserstein-2). Small samples differ by chance, so only the excess over chance says something.

# %%
from companion.evaluation import gaussian_w2

prior = torch.randn(len(codes), latent, generator=torch.Generator().manual_seed(seed))
distance = gaussian_w2(codes, prior)
again = torch.randn(len(codes), latent, generator=torch.Generator().manual_seed(seed + 1))
chance = gaussian_w2(again, prior)
print(f"codes {distance.value:.2f}, standard normals of the same sizes {chance.value:.2f}")

# %%
record(code_w2=distance.value, code_w2_chance=chance.value, num_codes=distance.num_first)
record(entropy=spectrum.entropy, smallest_singular_value=float(spectrum.mean[-1]))

# %% [markdown]
# ## Exercises
#
# **1.** Raise `beta` to 100 in the parameters cell and run again. Which of the recorded numbers get
# better, which worse?
#
# <details><summary>Solution</summary>
#
# The reconstruction error falls. The codes leave the standard normal (their distance grows) and fewer
# samples are recognised: a decoder that is good on the codes of real digits is asked for codes that it
# has never seen (MLAE App. E.2).
#
# </details>

# %% [markdown]
# **2.** Set `num_probes` to 8. Which of the recorded numbers change by more than a change of `seed` does?
#
# <details><summary>Solution</summary>
#
# With one probe the gradient is noisy but unbiased, and it averages over the batch and the steps. Compare
# with runs at `seed` 1 and 2 before you believe that a difference comes from K.
#
# </details>

# %% [markdown]
# **3.** Interpolate between the codes of two test digits of one class and decode the way between them.
#
# <details><summary>Solution</summary>
#
# `path = torch.lerp(codes[i], codes[j], torch.linspace(0, 1, 8)[:, None])`, then
# `model.decode(path, condition)` with the label of both repeated eight times.
#
# </details>

# %% [markdown]
# ## Recall
#
# 1. What does the condition save the code from saying?
# 2. What is the difference between a reconstruction and a sample?
# 3. Why is a sample at low temperature safer, and what does it lose?
# 4. What does a singular value near zero mean?
# 5. Why compare codes with N(0, 1), and on which images?
# 6. Which two sample sizes belong to a Wasserstein distance?
#
# <details><summary>Answers</summary>
#
# 1. Which digit it is: the label is given to both networks.
# 2. A reconstruction decodes the code of a real image, a sample a code drawn from the prior.
# 3. Its code lies nearer to the origin, where the prior's density is highest and the decoder gives an
#    average digit, although few codes of real images lie there; it loses variety.
# 4. Moving the code along that direction changes nothing: the dimension is unused there.
# 5. Because samples decode N(0, 1); on held-out images, since training codes were fitted.
# 6. Those of both samples: the estimate is biased upward when they are small.
#
# </details>

# %% [markdown]
# ## Summary
#
# - The loss of notebook 02 trains on images, unchanged.
# - Held-out error, recognised samples, spectrum and code distribution each catch what the others miss.
# - Print the baseline beside the score.

# %% [markdown]
# ## References
#
# MLAE: Sorrenson et al. (2023): eq. 20, App. E.2 (conditional MNIST, Figs 7 and 8), eq. 117, App. E.4.
# Digits: E. Alpaydin and C. Kaynak, as shipped with scikit-learn.
