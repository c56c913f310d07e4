"""MLAE Fig. 2: the semicircle, with the log-volume's gradient taken on and off the manifold."""

from companion.theory.semicircle import critical_radii
from figures.common import save
from figures.explorables import semicircle_curvature


def main() -> None:
    """The paper's pair of pictures with settings of ours, since it names none."""
    beta, radius = 2.0, 0.2
    numbers, x = {}, semicircle_curvature.make_data()
    for side in semicircle_curvature.SIDES:
        one = semicircle_curvature.path(side, beta, radius)
        numbers[side] = {
            "ending": semicircle_curvature.ending(one.circles, x),
            "log_radius": round(float(one.circles[-1, 1]), 3),
            "nll": round(float(one.nll[-1]), 3),
            "reconstruction": round(float(one.reconstruction[-1]), 4),
        }
    numbers["predicted_edge"] = round(
        critical_radii(x, semicircle_curvature.CENTRE, beta).barrier, 4
    )
    settings = {
        "beta": beta,
        "radius": radius,
        "centre": semicircle_curvature.CENTRE,
        "std": semicircle_curvature.STD,
    }
    parameters = settings | {
        "steps": semicircle_curvature.STEPS,
        "frames": semicircle_curvature.FRAMES,
    }
    picture = semicircle_curvature.EXPLORABLE.render(0, beta=beta, radius=radius)
    save("fig02_semicircle", picture, "MLAE Fig. 2", parameters, numbers)


if __name__ == "__main__":
    main()
