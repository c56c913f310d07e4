"""SFVAE Figs 1 and C.2: what the weight does to the objective and to the true bound."""

from figures import plots
from figures.common import save
from figures.explorables import taylor_vae


def main() -> None:
    """One panel for each observation variance."""
    columns = len(taylor_vae.VARIANCES)
    figure, numbers = plots.figure(columns, size=(3.3, 3.1)), {}
    for ax, c in zip(figure.subplots(1, columns), taylor_vae.VARIANCES, strict=True):
        curves = {name: taylor_vae.STUDY.at(name, variance=c) for name in ("objective", "elbo")}
        plots.objective_gap(ax, taylor_vae.WEIGHTS, **curves)
        ax.set_title(f"c = {c:g}")
        numbers[f"{c:g}"] = {name: values.round(3).tolist() for name, values in curves.items()}
    parameters = {"weights": list(taylor_vae.WEIGHTS), "lattice": taylor_vae.STUDY.about["sha256"]}
    save("fig01_weight", figure, "SFVAE Figs 1 and C.2", parameters, numbers)


if __name__ == "__main__":
    main()
