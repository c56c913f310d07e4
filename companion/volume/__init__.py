"""Estimators of the log-volume's gradient, for any encoder and decoder.

``one_pass`` is MLAE's surrogate: one forward and one backward product, no inverse.
``bounds`` are RIF's: upper bounds from how far random directions are stretched.
"""

from companion.volume.one_pass import (
    At,
    Mode,
    Side,
    Space,
    draw_index,
    gradient_cosine,
    num_chosen,
    surrogate,
)

__all__ = [
    "At",
    "Mode",
    "Side",
    "Space",
    "draw_index",
    "gradient_cosine",
    "num_chosen",
    "surrogate",
]
