"""MLAE Fig. 7 (left) on synthetic faces, whose dimension is known: the spectrum against β and γ."""

from common import save

from companion.explorables import faces
from companion.explorables.base import load_lattice


def main() -> None:
    """Spectra of the lattice's models beside the true one, and where they step down."""
    figure, _ = faces.spectra_figure()
    about = load_lattice(faces.NAME)[1]
    parameters = {"lattice": about["sha256"], "data": about["data"], "training": about["training"]}
    steps = {name: values.tolist() for name, values in faces.curves("step").items()}
    spectra = {key: faces.numbers(key).spectrum.round(4).tolist() for key in faces.KEYS}
    numbers = {"values_before_largest_step": steps, "spectrum": spectra}
    save("fig07_faces", figure, "MLAE Fig. 7", parameters, numbers)


if __name__ == "__main__":
    main()
