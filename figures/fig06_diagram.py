"""MLAE Fig. 6 in full: the transition at three noise levels, fourteen β and twenty seeds."""

from figures.common import save
from figures.explorables import sinusoid_full


def main() -> None:
    """The plane of β and noise, each seed's transition, and how far the median moves."""
    noises = sinusoid_full.NOISES
    found = {f"noise {s:g}": sinusoid_full.transitions(s).round(5).tolist() for s in noises}
    numbers = {"transitions": found, "shift": sinusoid_full.shift()}
    study = sinusoid_full.STUDY
    parameters = {"seeds": len(study.seeds), "betas": list(sinusoid_full.BETAS)}
    parameters["lattice"] = study.about["sha256"]
    picture = sinusoid_full.phase_diagram()
    save("fig06_diagram", picture, "MLAE Fig. 6, App. E.1", parameters, numbers, tolerance=1e-6)


if __name__ == "__main__":
    main()
