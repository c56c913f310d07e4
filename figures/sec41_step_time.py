"""MLAE §4.1: the cost of a training step against the latent size, in one pass and by iteration.

The times are those of the benchmarks (`make bench`), as tests/benchmarks/ keeps them: of a CPU and,
where a step's kernels are started one by one, of a GPU.
"""

from figures import plots
from figures.common import benchmark, save

SIZES = (2, 8, 32, 128)
MACHINES = {"cpu": "one CPU thread", "h200": "a GPU"}  # file and title
ROWS = {
    "one pass": "{}: one pass / autoencoder step at d = {}, in turns",
    "conjugate gradients": "{}: conjugate gradients / autoencoder step at d = {}",
}


def main() -> None:
    """Both step times over that of a plain autoencoder with the same networks."""
    figure = plots.figure(2, size=(4.2, 3.4))
    numbers, about = {}, {"networks": "784-512-512-d, batch 512, one thread"}
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (machine, title) in zip(axes, MACHINES.items(), strict=True):
        rows, measured_on = benchmark(machine)
        device = "cpu" if machine == "cpu" else "cuda"
        curves = {
            name: [rows[text.format(device, d)] for d in SIZES] for name, text in ROWS.items()
        }
        plots.against_size(ax, SIZES, curves, "step time / autoencoder's")
        ax.set_title(title if machine == "cpu" else f"{title} ({measured_on['device']})")
        numbers[machine] = {name: [round(v, 4) for v in curve] for name, curve in curves.items()}
        about[machine] = measured_on
    axes[1].set_ylabel("")
    save("sec41_step_time", figure, "MLAE §4.1", about, numbers)


if __name__ == "__main__":
    main()
