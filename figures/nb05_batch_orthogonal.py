"""The course's own: probes orthogonal across the batch, the noise of a step and what it costs."""

from figures.common import save
from figures.explorables import batch_orthogonal


def main() -> None:
    """Both kinds of probes at three shares of the batch, for three networks and eight seeds."""
    about = batch_orthogonal.STUDY.about
    numbers = {}
    for setting in batch_orthogonal.SETTINGS:
        numbers[setting] = {
            "noise": batch_orthogonal.noise_ratio(setting).round(5).tolist(),
            **{
                f"{metric}, {kind}": batch_orthogonal.excess(setting, kind, metric)
                .round(3)
                .tolist()
                for metric in ("loss", *batch_orthogonal.METRICS)
                for kind in batch_orthogonal.KINDS
            },
        }
    parameters = {name: about[name] for name in ("settings", "training", "seeds", "sha256")}
    save("nb05_batch_orthogonal", batch_orthogonal.picture(), "no paper", parameters, numbers)


if __name__ == "__main__":
    main()
