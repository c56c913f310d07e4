"""RIF eqs 4, 5 and 7: how far each bound lies above the log-volume as singular values spread."""

from common import save

from companion.explorables import bounds


def main() -> None:
    """The closed forms for eight latent dimensions at λ = 1, with single probes at one spread."""
    latent, scale, here = 8, 1.0, 5.0
    gaps = {f"{r:g}": bounds.in_closed_form(latent, r, scale) for r in bounds.RATIOS}
    numbers = {ratio: [round(gap, 6) for gap in row] for ratio, row in gaps.items()}
    parameters = {"latent": latent, "scale": scale, "columns": list(bounds.NAMES), "marked": here}
    save(
        "eq05_bounds", bounds.render(0, here, scale, latent), "RIF eqs 4, 5, 7", parameters, numbers
    )


if __name__ == "__main__":
    main()
