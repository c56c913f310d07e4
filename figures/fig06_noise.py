"""MLAE Fig. 6: with more noise around the sinusoid, where does the transition come?"""

from figures.common import save
from figures.explorables import sinusoid


def main() -> None:
    """The trade-off at three noise levels, with the range over seeds of the transition."""
    numbers = {}
    for noise in sinusoid.NOISES:
        curves = sinusoid.trade_off(noise) | {"transition": sinusoid.transitions(noise)}
        numbers[f"noise {noise:g}"] = {k: v.round(5).tolist() for k, v in curves.items()}
    parameters = {"seeds": list(sinusoid.SEEDS), "lattice": sinusoid.STUDY.about["sha256"]}
    save("fig06_noise", sinusoid.noise_gallery(), "MLAE Fig. 6", parameters, numbers)


if __name__ == "__main__":
    main()
