"""MLAE Fig. 7 (left) on synthetic faces, whose dimension is known: the spectrum against β and γ."""

from figures.common import save
from figures.explorables import face_models


def main() -> None:
    """Spectra of the lattice's models beside the true one, and where they step down."""
    about = face_models.RUNS.about
    parameters = {"lattice": about["sha256"], "data": about["data"], "training": about["training"]}
    steps = {name: values.tolist() for name, values in face_models.curves("step").items()}
    spectra = {
        key: face_models.RUNS.typical(key=key).spectrum.round(4).tolist()
        for key in face_models.KEYS
    }
    numbers = {"values_before_largest_step": steps, "spectrum": spectra}
    save("fig07_faces", face_models.all_spectra(), "MLAE Fig. 7", parameters, numbers)


if __name__ == "__main__":
    main()
