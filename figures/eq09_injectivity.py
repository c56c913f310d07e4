"""RIF eq. 9: a manifold that crosses itself, and the same run with the injectivity penalty."""

from common import save

from companion import plots
from companion.explorables import relaxed
from companion.explorables.base import lattice_sum

ETA, MU = 0.3, 3.0


def main() -> None:
    """The curve and its slowest place, without and with the penalty, with all seeds' counts."""
    figure = plots.figure(len(relaxed.MUS_IN), size=(4.0, 3.0))
    for ax, mu_in in zip(figure.subplots(1, len(relaxed.MUS_IN)), relaxed.MUS_IN, strict=True):
        found = relaxed.numbers(0, ETA, MU, mu_in)
        plots.manifold(ax, found.points, found.codes, found.curve, found.grid)
        plots.magnified(ax, found.curve, found.curve[found.stretch.argmin()])
        ax.set_title(f"μ_in = {mu_in:g}: {found.crossings:g} self-crossings", fontsize=10)
    numbers = {
        name: {
            f"{m:g}": relaxed.over_seeds(name, ETA, MU, m).round(4).tolist() for m in relaxed.MUS_IN
        }
        for name in relaxed.METRICS
    }
    parameters = {"eta": ETA, "mu": MU, "lattice": lattice_sum(relaxed.NAME)}
    save("eq09_injectivity", figure, "RIF eq. 9", parameters, numbers)


if __name__ == "__main__":
    main()
