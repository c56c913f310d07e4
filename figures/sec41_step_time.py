"""MLAE §4.1: the cost of a training step against the latent size, in one pass and by iteration.

The times are those of the benchmarks (`make bench`), as tests/benchmarks/ keeps them: of a CPU and,
where a step's kernels are started one by one, of a GPU.
"""

from companion.lab.picture import Axis, Picture
from figures.common import benchmark, save
from figures.explorables.conjugate_gradients import against_size

SIZES = (2, 8, 32, 128)
MACHINES = {"cpu": "one CPU thread", "h200": "a GPU"}  # file and title
ROWS = {
    "one pass": "{}: one pass / autoencoder step at d = {}, in turns",
    "conjugate gradients": "{}: conjugate gradients / autoencoder step at d = {}",
}


def main() -> None:
    """Both step times over that of a plain autoencoder with the same networks."""
    ratio = Axis("step time / autoencoder's", limits=(0.9, 60), ticks=(1, 2, 5, 10, 20, 50))
    panels, numbers, about = [], {}, {"networks": "784-512-512-d, batch 512, one thread"}
    for machine, title in MACHINES.items():
        rows, measured_on = benchmark(machine)
        device = "cpu" if machine == "cpu" else "cuda"
        curves = {
            name: [rows[text.format(device, d)] for d in SIZES] for name, text in ROWS.items()
        }
        title = title if machine == "cpu" else f"{title} ({measured_on['device']})"
        panels.append(against_size(SIZES, curves, ratio, title=title))
        numbers[machine] = {name: [round(v, 4) for v in curve] for name, curve in curves.items()}
        about[machine] = measured_on
    says = "Times of a training step over an autoencoder's against the latent size."
    picture = Picture(panels, says, (8.4, 3.4))
    save("sec41_step_time", picture, "MLAE §4.1", about, numbers)


if __name__ == "__main__":
    main()
