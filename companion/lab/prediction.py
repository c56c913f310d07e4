"""What a reader wrote down before looking, beside what came out."""

from typing import Any


def told(prediction: Any, *choices: Any) -> str:
    """The end of a sentence that says what came out.

    Args:
        prediction: the reader's; None, as notebooks come, says nothing.
        choices: what it may be; none where it may be anything.

    >>> told(None, "along", "across"), told("along", "along", "across")
    ('', '; you predicted along')
    >>> told("alng", "along", "across")
    "; your prediction 'alng' is none of along, across"
    """
    if prediction is None:
        return ""
    if choices and prediction not in choices:
        return f"; your prediction {prediction!r} is none of {', '.join(map(str, choices))}"
    return f"; you predicted {prediction}"
