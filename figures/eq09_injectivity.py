"""RIF eq. 9: a manifold that crosses itself, and the same run with the injectivity penalty."""

from companion.lab.picture import Picture
from figures.common import save
from figures.explorables import relaxed_flow

ETA, MU = 0.3, 3.0


def main() -> None:
    """The curve and its slowest place, without and with the penalty, with all seeds' counts."""
    panels = []
    for mu_in in relaxed_flow.MUS_IN:
        found = relaxed_flow.STUDY(0, eta=ETA, mu=MU, mu_in=mu_in)
        title = f"μ_in = {mu_in:g}: {found.crossings:g} self-crossings"
        panels += [relaxed_flow.of_curve(found, title), relaxed_flow.magnified(found)]
    numbers = {
        name: {
            f"{m:g}": relaxed_flow.STUDY.at(name, eta=ETA, mu=MU, mu_in=m).round(4).tolist()
            for m in relaxed_flow.MUS_IN
        }
        for name in relaxed_flow.METRICS
    }
    parameters = {"eta": ETA, "mu": MU, "lattice": relaxed_flow.STUDY.about["sha256"]}
    says = "A curve without and with the injectivity penalty, and its slowest place, magnified."
    picture = Picture(panels, says, (11.6, 3.0), (5, 2, 5, 2))
    save("eq09_injectivity", picture, "RIF eq. 9", parameters, numbers)


if __name__ == "__main__":
    main()
