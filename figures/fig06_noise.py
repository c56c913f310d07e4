"""MLAE Fig. 6: with more noise around the sinusoid where does the transition come."""

from common import save

from companion import plots
from companion.explorables import sinusoid


def main() -> None:
    """The trade-off at three noise levels, with the range over seeds of the transition."""
    figure = plots.figure(3, size=(3.7, 3.1))
    numbers = {}
    for ax, noise in zip(figure.subplots(1, 3), sinusoid.NOISES, strict=True):
        curves, onsets = sinusoid.trade_off(noise), sinusoid.transitions(noise)
        plots.trade_off(ax, **curves)
        ax.axvspan(onsets.min(), onsets.max(), color=plots.GREEN, alpha=0.2, linewidth=0)
        ax.set_title(
            f"σ = {noise:g}: transition β {onsets.min():.2g} … {onsets.max():.2g}", fontsize=9
        )
        numbers[f"noise {noise:g}"] = {"transition": onsets.round(5).tolist()} | {
            name: values.round(5).tolist() for name, values in curves.items()
        }
    about = sinusoid.load_lattice(sinusoid.NAME)[1]
    parameters = {"seeds": list(sinusoid.SEEDS), "lattice": about["sha256"]}
    save("fig06_noise", figure, "MLAE Fig. 6", parameters, numbers)


if __name__ == "__main__":
    main()
