"""SFVAE Figs 1 and C.2: what the weight does to the objective and to the true bound."""

from companion.lab.picture import Picture
from figures.common import save
from figures.explorables import taylor_vae


def main() -> None:
    """One panel for each observation variance."""
    panels, numbers = [], {}
    for c in taylor_vae.VARIANCES:
        panels.append(taylor_vae.objective_gap(c, title=f"c = {c:g}"))
        numbers[f"{c:g}"] = {
            name: taylor_vae.STUDY.at(name, variance=c).round(3).tolist()
            for name in ("objective", "elbo")
        }
    parameters = {"weights": list(taylor_vae.WEIGHTS), "lattice": taylor_vae.STUDY.about["sha256"]}
    says = "The Taylor objective and the true bound against the weight, at each variance c."
    picture = Picture(panels, says, (3.3 * len(panels), 3.1))
    save("fig01_weight", picture, "SFVAE Figs 1 and C.2", parameters, numbers)


if __name__ == "__main__":
    main()
