"""RIF eq. 9: a manifold that crosses itself, and the same run with the injectivity penalty."""

from figures import plots
from figures.common import save
from figures.explorables import relaxed_flow

ETA, MU = 0.3, 3.0


def main() -> None:
    """The curve and its slowest place, without and with the penalty, with all seeds' counts."""
    figure = plots.figure(len(relaxed_flow.MUS_IN), size=(4.0, 3.0))
    for ax, mu_in in zip(
        figure.subplots(1, len(relaxed_flow.MUS_IN)), relaxed_flow.MUS_IN, strict=True
    ):
        found = relaxed_flow.STUDY(0, eta=ETA, mu=MU, mu_in=mu_in)
        plots.manifold(ax, found.points, found.codes, found.curve, found.grid)
        plots.magnified(ax, found.curve, found.curve[found.stretch.argmin()])
        ax.set_title(f"μ_in = {mu_in:g}: {found.crossings:g} self-crossings", fontsize=10)
    numbers = {
        name: {
            f"{m:g}": relaxed_flow.STUDY.at(name, eta=ETA, mu=MU, mu_in=m).round(4).tolist()
            for m in relaxed_flow.MUS_IN
        }
        for name in relaxed_flow.METRICS
    }
    parameters = {"eta": ETA, "mu": MU, "lattice": relaxed_flow.STUDY.about["sha256"]}
    save("eq09_injectivity", figure, "RIF eq. 9", parameters, numbers)


if __name__ == "__main__":
    main()
