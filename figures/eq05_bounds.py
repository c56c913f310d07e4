"""RIF eqs 4, 5 and 7: how far each bound lies above the log-volume as singular values spread."""

from figures.common import save
from figures.explorables import frobenius_bounds


def main() -> None:
    """The closed forms for eight latent dimensions at λ = 1, with single probes at one spread."""
    latent, scale, here = 8, 1.0, 5.0
    gaps = {
        f"{r:g}": frobenius_bounds.in_closed_form(latent, r, scale) for r in frobenius_bounds.RATIOS
    }
    numbers = {ratio: [round(gap, 6) for gap in row] for ratio, row in gaps.items()}
    parameters = {
        "latent": latent,
        "scale": scale,
        "columns": list(frobenius_bounds.NAMES),
        "marked": here,
    }
    picture = frobenius_bounds.EXPLORABLE.render(0, ratio=here, scale=scale, latent=latent)
    save("eq05_bounds", picture, "RIF eqs 4, 5, 7", parameters, numbers)


if __name__ == "__main__":
    main()
