"""MLAE Table 5's comparison on real 8×8 digits: all models, all samplers, with their spread."""

from companion.lab.picture import Axis, Picture
from figures import draw
from figures.common import save
from figures.explorables import benchmark, compared_models
from figures.explorables.benchmark import COLUMNS

BETA, GAMMA = 10.0, 0.05


def main() -> None:
    """Fréchet distances of every contender by where codes come from, at one price of an error."""
    keys = {name: benchmark.key_at(name, BETA, GAMMA) for name in compared_models.COMPARED}
    rows = {
        benchmark.caption(key): [benchmark.runs(key, name) for name in compared_models.SAMPLERS]
        for key in keys.values()
    }
    real = float(benchmark.STUDY.arrays["real"])
    label = f"Fréchet distance, mean and range of {len(benchmark.RUNS.seeds)} trainings"
    x = Axis(label, "log", ticks=draw.TICKS)
    panel = draw.rows(rows, benchmark.LABELS, x, real, "real digits")
    picture = Picture([panel], f"{label}, of all models and samplers.", (8.4, 7.2))
    about = benchmark.STUDY.about
    parameters = {name: about[name] for name in ("data", "features", "accuracy", "training")}
    parameters |= {"lattice": about["sha256"], "beta": BETA, "gamma": GAMMA}
    numbers = {
        key: {name: benchmark.runs(key, name).round(3).tolist() for name in (*COLUMNS, "error")}
        | {"parameters": benchmark.cost(name, "parameters")}
        for name, key in keys.items()
    }
    save("tab05_benchmark", picture, "MLAE Table 5", parameters, numbers | {"real": round(real, 3)})


if __name__ == "__main__":
    main()
