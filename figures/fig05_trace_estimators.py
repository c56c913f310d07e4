"""MLAE Fig. 5: distance of the estimated from the exact gradient against K, on digits."""

import numpy as np
import torch

from companion import volume
from companion.lab.picture import Picture
from figures.common import digits_model, save
from figures.explorables.trace_probes import distances

BATCHES, DRAWS, SEED = (1, 16, 128), 5, 0
COUNTS = {"data": (1, 4, 16, 64), "latent": (1, 2, 4, 6, 8)}


def main() -> None:
    """Orthogonal probes in both spaces for three batch sizes; independent ones for one sample."""
    model, x, labels = digits_model(SEED)
    parameters = list(model.encoder.parameters())

    def curve(space: str, batch: int, kind: str = "orthogonal") -> np.ndarray:
        generator = torch.Generator().manual_seed(SEED)
        part, maps = (x[:batch], labels[:batch]), (model.encode, model.decode)
        options = {"space": space, "kind": kind, "draws": DRAWS, "generator": generator}
        values = [
            volume.gradient_distance(part[0], *maps, parameters, part[1], num_probes=k, **options)
            for k in COUNTS[space]
        ]
        return torch.stack(values).numpy()  # (counts, draws)

    curves = {space: {f"batch {b}": curve(space, b) for b in BATCHES} for space in COUNTS}
    curves["latent"]["batch 1, independent"] = curve("latent", 1, "sphere")
    panels = [
        distances(COUNTS[space], lines, f"trace in {space} space")
        for space, lines in curves.items()
    ]
    numbers = {
        space: {name: [float(f"{v:.4g}") for v in values.mean(1)] for name, values in lines.items()}
        for space, lines in curves.items()
    }
    parameters = {
        "counts": {space: list(ks) for space, ks in COUNTS.items()},
        "seed": SEED,
        "draws": DRAWS,
        "batches": list(BATCHES),
    }
    says = "Relative distance of the estimated gradient from the exact one against K, on digits."
    picture = Picture(panels, says)
    save("fig05_trace_estimators", picture, "MLAE Fig. 5, on 8x8 digits", parameters, numbers, 0.3)


if __name__ == "__main__":
    main()
