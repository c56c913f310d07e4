"""The two-stage VAE: a second VAE learns where the first one's codes lie (2SVAE §4)."""

import torch
from torch import Generator, Tensor, nn

from companion.contracts import LogProb
from companion.models.base import SAMPLES, Model
from companion.models.gaussian import posterior_size
from companion.models.vae import VAE, VAETerms
from companion.networks import MLP


def second_stage(latent_dim: int, hidden: tuple[int, ...] = (64, 64), **options) -> VAE:
    """A VAE over codes ``(batch, latent)``, with as many latents, whose γ is learned.

    It starts at γ = 0.1. Codes have a variance of about 1 in each direction, and a direction is
    used only where its variance exceeds γ: from γ = 1 a second stage may stay at its prior.

    Args:
        latent_dim: size of one code.
        hidden: widths of the encoder's and the decoder's hidden layers; the paper's have three.
        options: of :class:`companion.models.VAE`.

    Source: 2SVAE §4 and App. D, which does not say where γ starts.

    >>> rng = torch.manual_seed(0)
    >>> round(second_stage(2).variance.item(), 3)
    0.1
    """
    networks = (
        MLP(latent_dim, posterior_size(latent_dim), hidden),
        MLP(latent_dim, latent_dim, hidden),
    )
    options = {"decoder_variance": 0.1, "learn_variance": True} | options
    return VAE(*networks, (latent_dim,), latent_dim, **options)


class TwoStageVAE(Model):
    """A first stage that knows the manifold, and a second that knows the measure on it.

    Train the first stage alone; then ``fit`` this model, which trains only the second, on codes
    z ~ q(z | x) drawn afresh in every batch. Samples go through both: u ~ N(0, 1), z ~ p(z | u),
    x = g(z).

    With ``joint`` both stages are trained at once, on the bound that takes the second's for
    log p(z); 2SVAE's footnote 6 says that this does not help.

    Args:
        first: a trained model, frozen from here on unless joint: a VAE. From any other the codes
            are ``encode(x)``, as from an autoencoder, which 2SVAE's footnote 5 warns of.
        second: a VAE whose data are the first's codes, ``data_shape == (first.latent_dim,)``, say
            that of :func:`second_stage`.
        joint: train both stages together.

    Raises:
        ValueError: when the second stage has another data shape; from joint training and
            ``log_prob`` when the first stage is no VAE.

    Source: 2SVAE §4.

    >>> from companion.models.gaussian import posterior_size
    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> first = VAE(MLP(5, posterior_size(2)), MLP(2, 5), (5,), 2, learn_variance=True)
    >>> TwoStageVAE(first, second_stage(2)).sample(3).shape
    torch.Size([3, 5])
    """

    def __init__(self, first: Model, second: VAE, joint: bool = False):
        super().__init__(first.data_shape, first.latent_dim)
        if second.data_shape != (first.latent_dim,):
            raise ValueError(
                f"TwoStageVAE: the second stage's data_shape must be ({first.latent_dim},), got "
                f"{second.data_shape}"
            )
        if joint and not isinstance(first, VAE):
            raise ValueError(f"TwoStageVAE: joint needs a VAE first, got {type(first).__name__}")
        self.first, self.second, self.joint = first.requires_grad_(joint), second, joint
        self.train(self.training)

    def extra_repr(self) -> str:
        return f"joint={self.joint}"

    def train(self, mode: bool = True) -> "TwoStageVAE":
        """A first stage that is not trained stays in eval mode."""
        super().train(mode)
        if not self.joint:
            self.first.eval()
        return self

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.first.encode(x, condition)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.first.decode(z, condition)

    def draw_codes(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw z ~ p(z | u) with u from the second stage's prior: ``(n, latent)``."""
        return self.second.draw_data(n, generator, temperature)

    def prior_entropy(self, z: Tensor) -> float:
        """Importance-sampled, hence high on average."""
        return -float(self.second.log_prob(z).value.mean())

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        random = {"generator": generator, "device": x.device, "dtype": x.dtype}
        noise = torch.randn(1, len(x), self.latent_dim, **random)
        return {"noise": noise, "code_noise": self.second.draw(noise[0], generator)["noise"]}

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> VAETerms:
        """The second stage's terms on fresh codes, or those of the joint bound."""
        if self.joint:
            weighted = self.first.options["estimator"] == "iwae"
            estimator = "iwae" if weighted else self.second.options["estimator"]
            prior = _SecondStage(self.second, draws["code_noise"], estimator)
            return self.first.terms(x, draws["noise"], condition, prior=prior)
        z = self.draw_posterior(x, draws["noise"], condition)[0].detach()
        return self.second.loss(z, noise=draws["code_noise"])

    def draw_posterior(self, x: Tensor, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes of the first stage, ``(samples, batch, latent)`` like the noise."""
        if isinstance(self.first, VAE):
            return self.first.draw_posterior(x, noise, condition)
        return self.first.encode(x, condition).expand(len(noise), -1, -1)

    def log_prob(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        num_samples: int = SAMPLES,
        generator: Generator | None = None,
    ) -> LogProb:
        """log (1/S) Σₛ p(x | zₛ) p(zₛ | uₛ) p(uₛ) / (q(zₛ | x) q(uₛ | zₛ)).

        Without a generator the chance is always the same.
        """
        if not isinstance(self.first, VAE):
            name = type(self.first).__name__
            raise ValueError(f"TwoStageVAE.log_prob: needs a VAE as first stage, got {name}")
        generator = generator or Generator(x.device).manual_seed(0)
        random = {"generator": generator, "device": x.device, "dtype": x.dtype}
        noise = torch.randn(num_samples, len(x), self.latent_dim, **random)
        code_noise = torch.randn(1, num_samples * len(x), self.second.latent_dim, **random)
        prior = _SecondStage(self.second, code_noise, estimator="iwae")
        value = -self.first.terms(x, noise, condition, prior=prior, estimator="iwae").loss
        kind = f"importance-sampled, {num_samples} codes through both stages, low on average"
        return LogProb(value, kind)

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        moved = self.second.advance(progress, epoch)
        changed = {f"second.{name}": value for name, value in moved.items()}
        if self.joint:
            moved = self.first.advance(progress, epoch)
            changed |= {f"first.{name}": value for name, value in moved.items()}
        return changed


class _SecondStage(nn.Module):
    """The second stage's bound on log p(z) at one u for each z, as the prior of a first stage.

    In an importance weight it must be the estimator ``iwae``, log p(z, u)/q(u | z) at the u drawn:
    with the KL in closed form the weights' mean is no longer p(x) and the estimate no bound.
    """

    def __init__(self, second: VAE, noise: Tensor, estimator: str):
        super().__init__()
        self.second, self.noise, self.estimator = second, noise, estimator

    def log_prob(self, z: Tensor) -> Tensor:
        return -self.second.terms(z, self.noise, estimator=self.estimator).loss
