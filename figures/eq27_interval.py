"""MLAE eq. 27 as a picture: an interval of codes, the curve that it becomes, the density there."""

from figures.common import save
from figures.explorables import interval


def main() -> None:
    """Equal masses, unequal lengths, for one decoder that stretches and bends."""
    parameters = {"centre": 1.5, "width": 1.0, "stretch": 0.4, "bend": 1.0}
    found = interval.numbers(**parameters)
    names = ("mass_z", "mass_x", "length")
    rounded = {name: round(getattr(found, name), 5) for name in names}
    picture = interval.EXPLORABLE.render(0, **parameters)
    save("eq27_interval", picture, "MLAE eq. 27", parameters, rounded)


if __name__ == "__main__":
    main()
