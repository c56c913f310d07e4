"""SFVAE Figs 1 and C.2: what the weight does to the objective and to the true bound."""

from common import save

from companion import plots
from companion.explorables import taylor
from companion.explorables.base import lattice_sum


def main() -> None:
    """One panel for each observation variance."""
    columns = len(taylor.VARIANCES)
    figure, numbers = plots.figure(columns, size=(3.3, 3.1)), {}
    for ax, c in zip(figure.subplots(1, columns), taylor.VARIANCES, strict=True):
        curves = {name: taylor.runs(name, c) for name in ("objective", "elbo")}
        plots.objective_gap(ax, taylor.WEIGHTS, **curves)
        ax.set_title(f"c = {c:g}")
        numbers[f"{c:g}"] = {name: values.round(3).tolist() for name, values in curves.items()}
    parameters = {"weights": list(taylor.WEIGHTS), "lattice": lattice_sum(taylor.NAME)}
    save("fig01_weight", figure, "SFVAE Figs 1 and C.2", parameters, numbers)


if __name__ == "__main__":
    main()
