"""MLAE Table 6 on the 8×8 digits: one change at a time, samples with normal and mixture codes."""

from figures.common import save
from figures.explorables import ablation


def main() -> None:
    """Fréchet distances of all rows over the trainings, the paper's FID beside them."""
    print(ablation.printed())
    picture = ablation.EXPLORABLE.render(0)
    about = ablation.RUNS.about
    parameters = {"lattice": about["sha256"], "data": about["data"], "training": about["training"]}
    numbers = {
        name: {metric: ablation.runs(name, metric).round(3).tolist() for metric in ablation.METRICS}
        for name in ablation.NAMES
    }
    parameters["quoted_fid_of_mnist"] = {r.name: list(r.paper) for r in ablation.ROWS if r.paper}
    save("tab06_ablation", picture, "MLAE Table 6", parameters, numbers)


if __name__ == "__main__":
    main()
