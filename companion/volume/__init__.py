"""Estimators of the log-volume's gradient, for any encoder and decoder.

``one_pass`` is MLAE's surrogate: one forward and one backward product, no inverse. ``conjugate`` is
rectangular flows': no encoder, but an inverse by iteration. ``accuracy`` says how near the
surrogate's gradient is to the one that it stands for. ``bounds`` are RIF's: upper bounds of the
log-volume from how far random directions are stretched.
"""

from companion.volume.accuracy import gradient_cosine, gradient_distance
from companion.volume.conjugate import Conjugate, conjugate
from companion.volume.one_pass import At, Mode, Side, Space, draw_index, num_chosen, surrogate

__all__ = [
    "At",
    "Conjugate",
    "Mode",
    "Side",
    "Space",
    "conjugate",
    "draw_index",
    "gradient_cosine",
    "gradient_distance",
    "num_chosen",
    "surrogate",
]
