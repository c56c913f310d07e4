"""AEF Table 7: which flow does the work, the prior's, the core encoder's or the posterior's."""

import numpy as np

from figures import plots
from figures.common import save
from figures.explorables import within_flows

NAMES = ("no flows", "core or posterior", "prior", "both")


def main() -> None:
    """Bits per dimension and Fréchet distance of the eight combinations, medians and ranges."""
    arrays, figure = within_flows.STUDY.arrays, plots.figure(2, size=(3.9, 3.2))
    numbers = {}
    for ax, key in zip(figure.subplots(1, 2), ("bits", "frechet"), strict=True):
        for i, (who, color) in enumerate((("VAE", plots.ORANGE), ("AEF", plots.BLUE))):
            runs = arrays[f"ablation_{key}"][i].astype(float)  # (flows, seed)
            middle = np.median(runs, 1)
            spread = np.abs(np.stack([runs.min(1), runs.max(1)]) - middle)
            at = np.arange(len(NAMES)) + 0.16 * (2 * i - 1)
            ax.errorbar(at, middle, spread, fmt="os"[i], color=color, capsize=3, label=who)
            numbers[f"{who} {key}"] = np.round(runs, 4).tolist()
        ax.set_xticks(range(len(NAMES)), labels=NAMES, fontsize=8, rotation=15)
    figure.axes[0].set_ylabel("bits per dimension")
    figure.axes[1].set_ylabel("squared Fréchet distance of features")
    figure.axes[0].legend(frameon=False)
    parameters = {
        "lattice": within_flows.STUDY.about["sha256"],
        "latents": 8,
        "flows": list(NAMES),
    }
    save("tab07_aef_flows", figure, "AEF Table 7", parameters, numbers)


if __name__ == "__main__":
    main()
