"""The two-step flow: a manifold by least squares, then the density of its codes."""

from typing import NamedTuple

from torch import Tensor

from companion.contracts import LogProb
from companion.models.base import Model, manifold_log_prob
from companion.networks.flows import Flow


class FlowTerms(NamedTuple):
    """Its only term, ``(batch,)``."""

    loss: Tensor  # −log p_Z(f(x)), in nats


class TwoStepFlow(Model):
    """A flow over the codes of a trained model, which stays as it is.

    Train the first model alone; then ``fit`` this one, which trains only the flow: L(x) =
    −log p_Z(f(x)). Each step has its own optimiser and schedule, and the manifold never hears of
    likelihood.

    Codes of the model are the flow's standard normal ones: encode = h⁻¹ ∘ f, decode = g ∘ h.

    Args:
        first: a trained model, frozen from here on, say a
            :class:`companion.models.RectangularFlow` with estimator ``none`` and no prior, or an
            :class:`companion.models.Autoencoder`.
        prior: flow over the first's codes.

    Source: Caterini et al. (2021), their baseline; Brehmer and Cranmer (2020).

    >>> import torch
    >>> from companion.models import Autoencoder
    >>> from companion.networks import MLP
    >>> from companion.networks.flows import realnvp
    >>> rng = torch.manual_seed(0)
    >>> first = Autoencoder(MLP(4, 2), MLP(2, 4), (4,), 2)
    >>> model = TwoStepFlow(first, realnvp(2, hidden=[8]))
    >>> model.sample(3).shape, any(p.requires_grad for p in model.first.parameters())
    (torch.Size([3, 4]), False)
    """

    def __init__(self, first: Model, prior: Flow):
        super().__init__(first.data_shape, first.latent_dim)
        self.first, self.prior = first.requires_grad_(False), prior
        self.train(self.training)

    def train(self, mode: bool = True) -> "TwoStepFlow":
        """The first model stays in eval mode."""
        super().train(mode)
        self.first.eval()
        return self

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.prior.normalise(self.first.encode(x, condition), condition).value

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.first.decode(self.prior.generate(z, condition).value, condition)

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> FlowTerms:
        """−log p_Z(f(x)); it needs no chance."""
        return FlowTerms(-self.prior.log_prob(self.first.encode(x, condition).detach(), condition))

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """Exact on the manifold, by the Jacobian of g ∘ h."""
        return manifold_log_prob(self, x, condition)
