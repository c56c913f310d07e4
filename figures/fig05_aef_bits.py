"""AEF Fig. 5: bits per dimension over the number of latents, on 8×8 digits."""

from figures.common import save
from figures.explorables import within_flows
from figures.explorables.digit_flows import MODELS


def main() -> None:
    """The picture of the committed lattice, with medians over seeds."""
    parameters = {"lattice": within_flows.STUDY.about["sha256"], "epochs": within_flows.EPOCHS[-1]}
    numbers = {
        kind: {
            str(n): [round(float(b), 4) for b in within_flows.over_seeds("bits", kind, n)[-1]]
            for n in within_flows.LATENTS
        }
        for kind in MODELS
    }
    save("fig05_aef_bits", within_flows.bits_gallery(), "AEF Fig. 5", parameters, numbers)


if __name__ == "__main__":
    main()
