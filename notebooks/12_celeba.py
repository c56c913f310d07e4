# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12 · Faces: CelebA, and faces that come with the answer
#
# **Question.** CelebA holds 202,599 photographs of faces, and nobody knows how many numbers it takes to
# tell one from another. So whether a model has found them cannot be checked. Draw faces by a formula of
# ten numbers instead: does the model find ten? And what do β and γ do to what it makes of them?
#
# These are **synthetic** faces, no photographs; the ten factors are turn, nod, tilt, smile, eyes, width,
# hair, tone, hue and light:

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import torch

from companion.data.faces import FACTORS, LABEL, Faces
from companion.lab.frame import show
from companion.lab.picture import Picture
from figures import draw

# %%
ways = torch.linspace(-1.8, 1.8, 7)
one_by_one = torch.cat([ways[:, None] * unit for unit in torch.eye(len(FACTORS))])

# %% mystnb={"image": {"alt": "Ten rows of seven synthetic faces; along each row one factor changes."}}
options = {"names": FACTORS, "title": f"{LABEL}, drawn by a formula"}
panel = draw.image_rows(Faces(32).render(one_by_one), columns=7, **options)
says = f"Seven {LABEL} in each row, along one of the factors {', '.join(FACTORS)}."
show(Picture([panel], says, (4.2, 5.7)))

# %% [markdown]
# After this notebook you can
#
# 1. train a maximum-likelihood autoencoder and two VAEs on the same images with the same networks;
# 2. put their prices on one axis, β = 1/2γ, and say what remains different;
# 3. compare a decoder's singular values with the true map's, and count dimensions;
# 4. choose where samples' codes come from, and read a Fréchet distance with its features in mind;
# 5. run the same on CelebA as MLAE §5.2 does.
#
# It takes about 40 seconds at the `quick` profile on two CPU cores. `quick` uses synthetic faces;
# `standard` CelebA at 32×32 on a CPU, `full` at 64×64 with the networks and settings of MLAE App. E.4 on
# a GPU. Those two need CelebA's files; `companion data` says which, and where to put them.

# %% tags=["parameters"]
profile = "quick"  # quick, standard or full
seed = 0
device = "auto"
beta = 10.0  # MLAE's weight of the reconstruction error
gamma = 0.05  # the fixed decoder variance of a VAE (2SVAE); 1/2β is the same price
dataset = "auto"  # auto (by profile), synthetic-faces or celeba
compared_by = "auto"  # auto (inception for photographs at full), classifier or inception
directory = ""  # where runs leave checkpoints and from where they go on; at full, runs/12 if empty

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.parameters import PROFILES, between, device_name, folder, guard, seed_number

guard(
    globals(), profile=PROFILES, seed=seed_number, device=device_name, beta=between(0.001, 1000),
    gamma=between(0.001, 1000), dataset=("auto", "synthetic-faces", "celeba"),
    compared_by=("auto", "classifier", "inception"), directory=folder,
)  # fmt: skip

# %% [markdown]
# ## Predict, then move
#
# Three models with the same networks (two hidden layers of 128, sixteen latent dimensions, six more than
# needed) have been trained on synthetic faces of 24×24 pixels: MLAE at several β, a VAE at several fixed
# γ, and a VAE that learns its γ. Every price that one of them pays for an error, another can pay too,
# since β = 1/2γ. Whose reconstructions are sharper at one price, the panel asks. **Predict** here: the smaller
# its γ, the better a VAE reconstructs. Do its samples, with codes from $N(0, 1)$, get better all the way too?

# %%
prediction = None  # "better", "worse" or "best between", as γ gets smaller

# %%
from companion.lab.widgets import explore
from figures.explorables import face_models as faces

explore(faces.EXPLORABLE, beta=beta, gamma=gamma)

# %%
pairs = {
    b: (faces.RUNS.typical(key=f"mlae {b:g}"), faces.RUNS.typical(key=f"vae {0.5 / b:g}"))
    for b in faces.BETAS
}

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
for b, (mlae, vae) in pairs.items():
    print(f"β = {b:<5g} error: MLAE {mlae.error:6.2f}, VAE with γ = {0.5 / b:<6g} {vae.error:6.2f}")

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
from companion.lab.prediction import told

apart = {0.5 / b: vae.normal for b, (_, vae) in pairs.items()}
found = ", ".join(f"{distance:.1f} at γ = {g:g}" for g, distance in apart.items())
print(f"Fréchet distance of the VAE's samples: {found}", end="")
print(told(prediction, "better", "worse", "best between"))

# %% [markdown]
# A VAE decodes a *random* code, and the less a direction says about the picture, the more noise it is
# worth putting there (KL). When an error is cheap (large γ) it gives such directions up: their singular
# values fall to zero and faces come out blurred towards the mean. MLAE decodes one code, so all sixteen
# dimensions stay in use at every β; what it does not need for faces it spends on pixel noise. At a large
# β and a small γ that difference vanishes: both approach a plain autoencoder.
#
# What does it cost when we sample? A *Fréchet distance* (more on it below) says how far samples are from test
# faces. Here over all β and γ, with three trainings each:

# %% tags=["hide-output"] jupyter={"outputs_hidden": true} mystnb={"image": {"alt": "Left: reconstruction error against the price of an error for MLAE and VAE. Right: Fréchet distance of samples with standard normal and mixture codes."}}
show(faces.trade_off())

# %% [markdown]
# ## The objectives, side by side
#
# MLAE's loss (eq. 20) of one image, with $K$ *probes* $v_k$ (random vectors that estimate a trace; sg stops the
# gradient), and the VAE's (2SVAE eq. 2):
#
# $$
# \tfrac12\lVert z\rVert^2 + \tfrac d2\log 2\pi -
#   \tfrac1K\textstyle\sum_k v_k^\top f'(x)\,\mathrm{sg}[g'(z)v_k] +
#   \beta\lVert\hat x - x\rVert^2,
# $$
#
# $$
# \mathbb E_q\frac{\lVert\hat x - x\rVert^2}{2\gamma} + \tfrac D2\log2\pi\gamma +
#   \mathrm{KL}(q(z\mid x)\,\Vert\,p(z)).
# $$
#
# We check both, and the common price, on a few faces, with the networks of the slider's models:

# %%
from companion.networks import MLP

face = (3, 24, 24)


def pair(heads):
    torch.manual_seed(seed)
    return MLP(face, heads * 16, (128, 128)), MLP(16, face, (128, 128))


# %%
from companion.models import MLAE, VAE

mlae = MLAE(*pair(1), face, latent_dim=16, beta=10.0)
vae = VAE(*pair(2), face, latent_dim=16, decoder_variance=0.05)  # a mean and a log-variance

# %%
from companion.training import TrainConfig, fit, load_weights

config = TrainConfig(20, 128, learning_rate=5e-3, noise=0.05, seed=seed, device="cpu")

# %%
from companion.lab.same import same

assert same(mlae, faces.make_model("mlae 10", seed))
assert same(vae, faces.make_model("vae 0.05", seed))
assert config == faces.make_config(seed)
print(f"{config.epochs} passes over {faces.NUM_TRAIN} faces trained each of the slider's models")

# %%
few = faces.make_data(seed, 8)[0]
terms, other = mlae.loss(few), vae.loss(few)
by_hand = terms.prior - terms.surrogate + 10 * terms.reconstruction
assert torch.allclose(terms.loss, by_hand)

# %%
constant = few[0].numel() / 2 * torch.log(torch.tensor(2 * torch.pi * 0.05))
price = (other.neg_log_likelihood - constant) / other.reconstruction
assert torch.allclose(price, torch.full_like(price, 1 / (2 * 0.05)), rtol=1e-4)
print(f"γ = 0.05: one unit of error costs {price.mean():.3f}, as at β = 10")

# %% [markdown]
# ## Data

# %%
from companion.contracts import as_float
from companion.data import images
from companion.evaluation import inception

if dataset == "auto":
    dataset = "synthetic-faces" if profile == "quick" else "celeba"

# %%
synthetic, size = dataset == "synthetic-faces", 64 if profile == "full" else 32
if compared_by == "auto":
    compared_by = "inception" if profile == "full" and not synthetic else "classifier"
if compared_by == "inception":
    inception(device=device)  # hours before it is needed, it says what is missing
data = images.load(dataset, size=size, seed=seed)
print(data.note, [len(part.x) for part in (data.train, data.valid, data.test)])

# %% [markdown]
# Small networks learn faster when the mean face is subtracted; the convolutional ones of the paper get
# the images as they are, straight from the memory map. A picture adds it again.

# %%
count = {"quick": 2000, "standard": 20_000, "full": None}[profile]
held_out = {"quick": 500, "standard": 1000, "full": 10_000}[profile]  # of validation and of test
x, x_test = data.train.x[:count], as_float(data.test.x[:held_out])
x_valid = data.valid.x if profile == "full" else data.valid.x[:1000]
shift = as_float(x[:2000]).mean(0) if profile != "full" else torch.zeros(x.shape[1:])

# %%
if profile != "full":
    x, x_valid = as_float(x) - shift, as_float(x_valid) - shift
shape = tuple(x.shape[1:])

# %% [markdown]
# ## Three models
#
# Same encoder, same decoder; only a VAE's encoder returns two numbers for each latent dimension.

# %%
latent, widths = (16, (128, 128)) if profile == "quick" else (64, (256, 256))

# %%
from companion.experiments import papers
from companion.networks import build, summary


def networks(heads):
    if profile == "full":
        return build(papers.CONVNET["celeba"], heads=heads)[:2]  # MLAE Table 7
    return MLP(shape, heads * latent, widths), MLP(latent, shape, widths)


# %%
print(summary(networks(heads=1)[0], shape))

# %%
learned = {"decoder_variance": gamma, "learn_variance": True}
makers = {
    f"MLAE, β = {beta:g}": lambda: MLAE(*networks(1), shape, latent, beta=beta),
    f"VAE, γ = {gamma:g}": lambda: VAE(*networks(2), shape, latent, decoder_variance=gamma),
    "VAE, γ learned": lambda: VAE(*networks(2), shape, latent, **learned),
}

# %% [markdown]
# `quick` and `full` train each once, `standard` with five seeds. With a `directory` a run that was killed
# goes on where it was. At `full` the loss on validation data halves the rate and chooses the epoch whose
# weights stay, as in the pipeline of MLAE App. E.4.

# %%
epochs = {"quick": 24, "standard": 8, "full": 50}[profile]
config = TrainConfig(
    epochs=epochs, batch_size=128, learning_rate=4e-3, noise=0.05, seed=seed, device=device,
    validate_every=max(1, epochs // 10), validate_on=64,
)  # fmt: skip

# %%
from dataclasses import replace

from companion.experiments.presets import PRESETS

if profile == "full":
    config = replace(PRESETS["mlae-celeba-convnet"].config, seed=seed, device=device)
    directory = directory or "runs/12"

# %%
from pathlib import Path

runs = {"quick": 1, "standard": 5, "full": 1}[profile]
models, logs = {name: [] for name in makers}, {}
for number, (name, make) in enumerate(makers.items()):
    for run in range(seed, seed + runs):
        torch.manual_seed(run)
        model, where = make(), Path(directory) / f"model{number}-seed{run}" if directory else None
        settings = replace(config, seed=run)
        kept = {"directory": where, "resume": where is not None, "progress": False}
        logs[name] = fit(model, x, x_valid, settings, **kept)
        if profile == "full":
            load_weights(model, where / "best.pt")
        models[name].append(model.cpu().eval())

# %%
from companion.lab.marks import Line
from companion.lab.picture import Axis, Panel

errors = [
    Line(*log.curve("valid_reconstruction"), colour, label=name)
    for (name, log), colour in zip(logs.items(), faces.COLOURS, strict=True)
]

# %% mystnb={"image": {"alt": "Validation reconstruction error of the three models over the epochs."}}
panel = Panel(errors, Axis("epoch"), Axis("mean ‖x̂ − x‖² (validation)", "log"))
last = [log.column("valid_reconstruction")[-1] for log in logs.values()]
says = "Final validation error: " + ", ".join(f"{v:.2f}" for v in last)
show(Picture([panel], says, (5.2, 3.0)))

# %%
first = {name: several[0] for name, several in models.items()}
learned_gamma = first["VAE, γ learned"].log_decoder_variance.exp().item()
print(f"the learned γ is {learned_gamma:.4f}; the noise on the training images has {0.05**2:.4f}")

# %% [markdown]
# Near its optimum the learned γ is the mean squared error of one pixel, fresh noise included. The paper
# lets it go to zero (2SVAE Theorem 3); noise on the data is what stops it here.
#
# ## Reconstructions

# %%
columns = 9
rows = [x_test[:columns]]
with torch.no_grad():
    rows += [m.decode(m.encode(x_test[:columns] - shift)) + shift for m in first.values()]

# %% mystnb={"image": {"alt": "Test faces in the top row, each model's reconstructions below."}}
options = {"names": ["test faces", *first], "title": data.name}
panel = draw.image_rows(torch.cat(rows), columns, [1, 2, 3], **options)
says = f"{columns} test faces of {data.name}, and reconstructions by {', '.join(first)}."
show(Picture([panel], says, (7.6, 3.7)))


# %% [markdown]
# ## Samples, and where their codes come from
#
# Three densities over codes: the standard normal that both theories promise (MLAE's *N*), the full
# Gaussian fitted to the codes of training images (RIF's *N*, another thing under the same name), and a
# mixture of ten Gaussians (GMM).


# %%
@torch.no_grad()
def in_parts(function, images, size=250):
    """A network's answer, without the activations of all images at once."""
    return torch.cat([function(part) for part in images.split(size)])


# %%
from companion.evaluation.generation import codes_of
from companion.latents import fit_latents


def sampled(model, kind):
    generator = torch.Generator().manual_seed(seed)
    sample = model.draw_codes
    if kind != "standard":
        sample = fit_latents(kind, codes_of(model, x[:10_000], None, generator)).sample
    return in_parts(model.decode, sample(len(x_test), torch.Generator().manual_seed(seed))) + shift


# %%
kinds = ("standard", "gaussian", "mixture")
samples = {name: {kind: sampled(m, kind) for kind in kinds} for name, m in first.items()}

# %% mystnb={"image": {"alt": "Samples of the three models with codes from a standard normal, a full Gaussian and a mixture."}}
panels = []
for name, found in samples.items():
    twelve = torch.cat([found[kind][:12] for kind in kinds])
    options = {"names": kinds, "at": [1, 3, 5], "title": name}
    panels.append(draw.image_rows(twelve, 6, [2, 4], **options))
says = f"Twelve samples of each of {', '.join(samples)}, with {', '.join(kinds)} codes."
show(Picture(panels, says, (9.6, 3.1)))

# %% [markdown]
# ### How near are they to faces?
#
# A Fréchet distance compares two Gaussians fitted to *features* of two sets of images; with other
# features it is another number. Those of the papers' Inception network, whose weights are a file that has to
# be there, are taken for photographs at `full`. Otherwise a small network serves: for photographs, which have
# no classes, it learns by how many quarter turns they were turned; for synthetic faces it reads the ten factors,
# and we print how well. So **only Inception's numbers are of the papers' kind**; the others compare with each
# other.

# %%
from sklearn.metrics import r2_score

from companion.evaluation import classifier, face_features, gaussian_w2
from companion.experiments.experiment import SCALES

if compared_by == "inception":
    features = inception(device=device)
elif synthetic:
    features = face_features(size)
    faces_drawn, f = Faces(size).sample(500, torch.Generator().manual_seed(20_000 + seed))
    factors = torch.erf(f / 2**0.5)
    read = r2_score(factors, features(faces_drawn).numbers, multioutput="raw_values")
    shares = zip(FACTORS, read, strict=True)
    print("share of variance read: " + ", ".join(f"{name} {r:.2f}" for name, r in shares))
else:
    sets = data.train.x[:count], None, data.test.x[:held_out], None
    features = classifier(*sets, steps=SCALES[profile].steps, device=device)
print(f"features: {features.name}")


# %%
def distance(images):
    """Fréchet distance from the test images; colours are cut to [0, 1]."""
    return gaussian_w2(features(images.clamp(0, 1)).features, reference)


# %%
reference = features(x_test).features
real = distance(as_float(data.valid.x[: len(x_test)]))
chance = real.value
print(
    f"{real.num_first:,} real validation images against {real.num_second:,} test images, ", end=""
)
print(f"as many as of each kind below: {chance:.2f}; no model need be below it")

# %%
table = {}
for name, several in models.items():
    for kind in kinds:
        runs_of = [samples[name][kind], *(sampled(m, kind) for m in several[1:])]
        table[name, kind] = [distance(s).value for s in runs_of]
    rec = [in_parts(lambda z, m=m: m.decode(m.encode(z)), x_test - shift) + shift for m in several]
    table[name, "rec"] = [distance(s).value for s in rec]

# %%
import numpy as np


def show_one(values):
    return f"{np.mean(values):.2f}" + (f" ± {np.std(values):.2f}" if len(values) > 1 else "")


# %%
print(f"{data.name}, {profile}, lower is better" + "".join(f"{k:>16}" for k in (*kinds, "rec")))
for name in models:
    print(f"{name:38}" + "".join(f"{show_one(table[name, k]):>16}" for k in (*kinds, "rec")))

# %% [markdown]
# The papers' numbers for CelebA, **quoted**, FID on Inception features. MLAE Tables 2 and 5 (networks of the
# Pythae benchmark, N and GMM) and Table 6 (longer training):
#
# | quoted | ConvNet N | ConvNet GMM | ResNet N | ResNet GMM |
# |---|---|---|---|---|
# | MLAE | 56.9 | 47.3 | 62.3 | 55.0 |
# | VAE | 54.8 | 52.4 | 66.6 | 63.0 |
# | β-VAE | 56.1 | 51.7 | 65.9 | 59.3 |
# | plain autoencoder | 327.7 | 55.4 | 275.0 | 57.4 |
# | VAEGAN | 39.7 | 35.6 | 122.8 | 84.3 |
#
# | quoted, Table 6 | N | GMM | Δ |
# |---|---|---|---|
# | ConvNet+, weight decay | 48.7 | 40.9 | 7.9 |
# | ConvNet+, BN | 47.7 | 36.5 | 11.1 |
# | ConvNet+ | 51.1 | 41.4 | 9.7 |
# | ConvNet | 62.2 | 41.4 | 20.8 |
# | ConvNet, BN | 54.3 | 36.8 | 17.5 |
# | ConvNet, weight decay | 58.2 | 42.0 | 16.2 |

# %% [markdown]
# And of 2SVAE's Table 1:
#
# | quoted, 2SVAE | FID |
# |---|---|
# | VAE, γ fixed at 1 | 55.9 ± 0.6 |
# | VAE, γ learned | 60.5 ± 0.6 |
# | 2-stage VAE | 44.4 ± 0.7 |
#
# Three directions can be tested here: a mixture helps MLAE, with a mixture MLAE is ahead of the VAE, and a
# learned γ *alone* makes samples worse. Each over the lattice's three trainings:

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.claims import claim, record

# %%
normal, mixture = faces.curves("normal"), faces.curves("mixture")
gain = mixture["beta"][1] / normal["beta"][1]
ahead = mixture["beta"][1] / np.median(mixture["gamma"], axis=1).min()
worse = normal["learned"] / np.median(normal["gamma"][-1])

# %%
for what, ratio in {
    "GMM over N": gain,
    "MLAE over VAE": ahead,
    "learned over fixed": worse,
}.items():
    print(f"{what}: {ratio.min():.2f} to {ratio.max():.2f}")

# %% tags=["hide-input"] jupyter={"source_hidden": true}
claim("mlae-tab2-gmm-helps", gain, faces.RUNS)
claim("mlae-tab2-ahead-with-gmm", ahead, faces.RUNS)
claim("2svae-tab1-learned-alone", worse, faces.RUNS)

# %% [markdown]
# Two of them do not come out on these faces. The mixture helps; but a VAE whose γ may be chosen (which is the
# quoted β-VAE) is then as good as MLAE or a little better, and it is the *large* fixed γ whose samples are the
# worst, since it has given up half of the factors.
#
# Read the last column of our table, too: reconstructions of test faces are as good as samples of the same
# decoder could get (and can be nearer to the test faces than validation faces are, being made of the very
# same). What separates *rec* from *standard* is the codes' density, not the decoder.
#
# ## Ten dimensions?
#
# The synthetic faces are $x = r(f)$ with ten standard normal factors, and the derivative of $r$ is known. Its
# singular values are the truth that CelebA cannot offer. Beside them those of the decoders:

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion import jacobians
from companion.evaluation import decoder_spectrum

# %%
generator = torch.Generator().manual_seed(seed)
spectra = {name: decoder_spectrum(m, 64, generator=generator) for name, m in first.items()}
means = {name: spectrum.mean.numpy() for name, spectrum in spectra.items()}

# %%
truth = np.ones(0)
if synthetic:
    true_values = jacobians.singular_values(
        Faces(size).render, Faces(size).sample_factors(64, generator)
    )
    truth = true_values.mean(0).numpy()

# %% mystnb={"image": {"alt": "Singular values of three decoders on a logarithmic axis, with those of the true map for ten dimensions."}}
panel = draw.spectra(means, faces.COLOURS, truth)
words = [f"{name}: largest {m[0]:.2f}, smallest {m[-1]:.3f}" for name, m in means.items()]
says = "Singular values of the decoders. " + "; ".join(words) + "."
show(Picture([panel], says, (6.2, 3.6)))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.evaluation import active_dimensions, variance_spectrum

# %%
counts = {}
for name, several in models.items():
    if isinstance(several[0], VAE):
        spectrum = [variance_spectrum(m, as_float(x_valid[:1000])).values for m in several]
        counts[name] = [active_dimensions(values) for values in spectrum]
        print(f"{name}: {counts[name]} of {latent} posterior variances are below one half")

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from companion.lab.provenance import made

# %%
level = (2 * beta) ** -0.5
above = int((means[f"MLAE, β = {beta:g}"] > level).sum())
print(f"MLAE: {above} singular values exceed σ = 1/√(2β) = {level:.2f}")

# %%
if synthetic:
    active = [float(count) for count in counts["VAE, γ learned"]]
    by = made(data.name, first["VAE, γ learned"], x, config, seeds=active)
    claim("2svae-fig11-faces-dimension", active, by)
    wide = int((truth > level).sum())
    print(f"true map: {len(truth)} dimensions, of which {wide} exceed {level:.2f}")

# %% [markdown]
# A count needs a threshold, a step does not: a model that had found a manifold of ten dimensions would show
# its largest step after the tenth singular value. **Predict:** which of them does, MLAE at some β, a VAE at some γ
# that is set, or the VAE that learns its γ? Or none?

# %%
prediction = None  # "MLAE", "VAE", "VAE, γ learned" or "none"

# %% [markdown]
# Over all β and γ:

# %% tags=["hide-output"] jupyter={"outputs_hidden": true} mystnb={"image": {"alt": "Left: singular values of all models. Right: how many singular values come before the largest step, against the price of an error."}}
show(faces.all_spectra())

# %% tags=["hide-output"] jupyter={"outputs_hidden": true}
steps = faces.curves("step")
for name, values in steps.items():
    print(f"{name:8} values before the largest step, each run: {values.tolist()}")
print(f"the true dimension is {len(FACTORS)}", end="")
print(told(prediction, "MLAE", "VAE", "VAE, γ learned", "none"))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
record(largest_step_learned=steps["learned"].astype(float))

# %% [markdown]
# A VAE shows a clear step, and γ decides where: expensive information (large γ) leaves the weak factors out,
# since what moves few pixels (the smile, the eyes) is worth less than its price. The learned γ starts large
# and shrinks, so directions come one by one, and it gets nearest. At a small fixed γ from the start, and for
# MLAE at any β, there is no step to speak of: a small network cannot lay a curved manifold flat in ten directions,
# and what remains of the picture pays for all further ones. **MLAE's spectrum does not count dimensions here**;
# its latent size has to be chosen.

# %% [markdown]
# ## Along a latent direction, and between two faces
#
# The right singular vectors of $g'(z)$ at a face's code are the directions that change it most. Walk along the
# first four of them, and from one face's code straight to another's:

# %%
mlae = first[f"MLAE, β = {beta:g}"]
with torch.no_grad():
    codes = mlae.encode(x_test[:2] - shift)
    jacobian = jacobians.jacobian(mlae.decode, codes[:1])[0]
    directions = torch.linalg.svd(jacobian.flatten(0, -2), full_matrices=False)[2][:4]
    steps = torch.linspace(-2, 2, 9)[:, None]
    walks = [mlae.decode(codes[:1] + steps * v) + shift for v in directions]
    way = torch.lerp(codes[:1], codes[1:], torch.linspace(0, 1, 9)[:, None])
    walks.append(mlae.decode(way) + shift)

# %% mystnb={"image": {"alt": "Four rows of faces along singular directions and one row between two faces."}}
ticks = [*(f"direction {i}" for i in range(1, 5)), "between two"]
panel = draw.image_rows(torch.cat(walks), 9, [4], names=ticks, title=data.name)
says = "Four walks of ±2 along singular directions of the decoder, and one between two faces."
show(Picture([panel], says, (7.4, 4.6)))

# %% [markdown]
# With known factors we can ask *what* each walk changed. The network's answer, as the range of each factor
# (in units of its uniform scale from −1 to 1), largest first:

# %%
if synthetic and compared_by == "classifier":
    for name, walk in zip(ticks, walks, strict=True):
        found = features(walk.clamp(0, 1)).numbers
        span = found.max(0).values - found.min(0).values
        largest = span.argsort(descending=True)[:4].tolist()
        print(f"{name:12} " + ", ".join(f"{FACTORS[i]} {span[i]:.2f}" for i in largest))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
short = dict(zip(makers, ("mlae", "vae", "vae_learned"), strict=True))
record(**{f"frechet_{short[name]}_{kind}": v for (name, kind), v in table.items()})

# %% tags=["hide-input"] jupyter={"source_hidden": true}
record(frechet_chance=chance, learned_gamma=learned_gamma, singular_values_above_noise=above)
record(**{f"spectrum_{short[name]}": m.round(4).tolist() for name, m in means.items()})

# %% [markdown]
# Directions of largest change mix factors: nothing in either loss asks for a code whose axes are nod and
# smile, since every rotation of a standard normal is one.
#
# ## Exercises
#
# **1.** Set `gamma` to 0.5, then to 0.005, and run again. Which columns of the table follow, and how many
# posterior variances lie below one half?
#
# <details><summary>Solution</summary>
#
# With a large γ the reconstruction column gets much worse, few variances are small, and the three
# samplers agree: what is left of the codes fits the prior. With a small one the reconstructions are
# sharper, more directions are active, and a mixture gains more over the standard normal.
#
# </details>

# %% [markdown]
# **2.** Entropy does not depend on how codes are rotated or bent. Compute the true
# $H = \tfrac{10}2\log 2\pi e + \mathbb E\tfrac12\log\det r'^\top r'$ of the faces, and the entropy of MLAE with
# exactly ten latent dimensions. Which should be larger?
#
# <details><summary>Solution</summary>
#
# `true_values.log().sum(1).mean()` plus the prior's entropy is the truth, `decoder_spectrum(...).entropy` of a
# model with `latent = 10` the other. The model's is larger as long as it has not learned the weakest factors:
# it spends those dimensions on something that moves more pixels.
#
# </details>

# %% [markdown]
# **3.** Replace the network's features by raw principal components of the pixels. Does the order of the models in
# the table survive?
#
# <details><summary>Solution</summary>
#
# `basis = torch.pca_lowrank(x_test.flatten(1), q=64)[2]`, and `images.flatten(1) @ basis` in place of
# `features(…).features`, for both sets. Pixels weigh backdrop and hair, which cover area, and hardly see a smile. Where the
# order changes, the distance measured the features as much as the model. Print both.
#
# </details>

# %% [markdown]
# ## Recall
#
# 1. Which γ pays the same price for an error as β = 25?
# 2. Why do superfluous singular values vanish in a VAE and not in MLAE?
# 3. What do MLAE and RIF each mean by *N*?
# 4. Why can our Fréchet distances not stand in one column with the papers'?
# 5. What do synthetic faces offer that CelebA does not?
# 6. What does the *rec* column bound?
#
# <details><summary>Answers</summary>
#
# 1. 1/50 = 0.02.
# 2. The VAE's prior term makes a useless code free when it carries no information; MLAE's code is
#    deterministic and its volume term keeps every direction open.
# 3. The standard normal; a full Gaussian fitted to codes.
# 4. Other features, other image size, other number of samples.
# 5. A manifold of known dimension, with known factors, density and singular values.
# 6. What samples could reach if their codes had exactly the density of the data's codes.
#
# </details>

# %% [markdown]
# ## Summary
#
# - β and 1/2γ are one price, but a VAE gives directions up that an autoencoder keeps.
# - The known dimension tests what photographs cannot, and the models pass it only in part.
# - Name the sampler and the features beside every Fréchet distance.

# %% [markdown]
# ## References
#
# MLAE: Sorrenson et al. (2023), §5.2, Tables 2, 5, 6 and 7, App. E.2 (Fig. 7), App. E.4, Fig. 9.
# 2SVAE: Dai and Wipf (2019), eq. 2, Theorem 3, Table 1, Figs 1 and 11. RIF: Kumar et al. (2020), §4.3.
# CelebA: Z. Liu, P. Luo, X. Wang, X. Tang, *Deep Learning Face Attributes in the Wild*, ICCV 2015.
