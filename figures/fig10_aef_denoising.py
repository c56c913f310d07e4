"""AEF Table 2 and Fig. 10: error of denoising in feature space, on 8×8 digits."""

from figures.common import save
from figures.explorables import within_flows
from figures.explorables.digit_flows import DENOISERS, SIGMAS


def main() -> None:
    """The picture of the committed lattice, with the errors of all seeds at each σ."""
    parameters = {"lattice": within_flows.STUDY.about["sha256"], "sigmas": list(SIGMAS)}
    numbers = {
        f"{kind}, {n} latents": [[round(float(e), 5) for e in seeds] for seeds in errors]
        for n, part in zip(
            within_flows.DENOISED, within_flows.STUDY.arrays["denoising"], strict=True
        )
        for kind, errors in zip(DENOISERS, part, strict=True)
    }
    picture = within_flows.denoising_gallery()
    save("fig10_aef_denoising", picture, "AEF Table 2 and Fig. 10", parameters, numbers)


if __name__ == "__main__":
    main()
