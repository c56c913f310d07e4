"""MLAE §4.1: the cost of a training step against the latent size, in one pass and by iteration.

The times are those of the benchmarks (`make bench`), as tests/benchmarks/cpu.json keeps them.
"""

import json

from common import HERE, save

from companion import plots

SIZES = (2, 8, 32, 128)
ROWS = {
    "one pass": "cpu: one pass / autoencoder step at d = {}, in turns",
    "conjugate gradients": "cpu: conjugate gradients / autoencoder step at d = {}",
}


def main() -> None:
    """Both step times over that of a plain autoencoder with the same networks."""
    path = HERE.parent / "tests" / "benchmarks" / "cpu.json"
    bench = json.loads(path.read_text(encoding="utf-8"))
    rows = {row["quantity"]: row["measured"] for row in bench["rows"]}
    curves = {name: [rows[text.format(d)] for d in SIZES] for name, text in ROWS.items()}
    figure = plots.figure(size=(5, 3.4))
    plots.against_size(figure.subplots(), SIZES, curves, "step time / autoencoder's")
    rounded = {name: [round(value, 4) for value in values] for name, values in curves.items()}
    about = bench["about"] | {"networks": "784-512-512-d, batch 512, one thread"}
    save("sec41_step_time", figure, "MLAE §4.1", about, rounded)


if __name__ == "__main__":
    main()
