"""From the bytes of an image or an array file to numbers, with every size bounded."""

import io

import numpy as np
from PIL import Image

from companion.data.archives import FormatError, damage

MAX_PIXELS = 2**24  # 4096 × 4096


def read_square(
    content: bytes,
    name: str,
    mode: str,
    size: int,
    crop: int | None = None,
    expected: tuple[int, int] | None = None,
) -> np.ndarray:
    """A JPEG or PNG, cropped about its centre, then scaled with antialiasing.

    Args:
        content: the file.
        name: what it is called.
        mode: ``RGB`` or ``L``.
        size: width and height of the result.
        crop: side of the central square that is kept; otherwise the image must be square.
        expected: width and height that the image must have.

    Returns:
        ``(channels, size, size)`` uint8.

    Raises:
        FormatError: for a damaged image, and one of another size.
    """
    image = read_image(content, name, mode)
    width, height = image.size
    if (width, height) != (expected or (width, width)) or width < size:
        raise FormatError(f"read_square: {name} has {width}×{height} pixels")
    side = crop or width
    left, top = (width - side) // 2, (height - side) // 2
    with damage("read_square", name):
        square = image.crop((left, top, left + side, top + side))  # first: scaling looks around
        pixels = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def read_image(content: bytes, name: str, mode: str) -> Image.Image:
    """Decode a JPEG or PNG of bounded size.

    Raises:
        FormatError: for anything else, or a damaged one.
    """
    file = io.BytesIO(content)
    with damage("read_image", name), Image.open(file, formats=("JPEG", "PNG")) as image:
        if image.width * image.height > MAX_PIXELS:
            raise FormatError(
                f"read_image: {name} has {image.width}×{image.height} pixels, "
                f"expected at most {MAX_PIXELS:,}"
            )
        return image.convert(mode)


def read_npy(content: bytes, name: str) -> np.ndarray:
    """An array of an ``.npy`` file held in memory; objects, which could run code, are refused.

    Raises:
        FormatError: when the header does not fit what follows.
    """
    with damage("read_npy", name):
        file = io.BytesIO(content)
        if np.lib.format.read_magic(file) != (1, 0):
            raise FormatError(f"read_npy: {name} has another version than 1.0")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.hasobject or by_column:
            raise FormatError(f"read_npy: {name} holds {dtype}, expected plain numbers by row")
        return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape)
