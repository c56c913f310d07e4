"""The networks of the five papers, row by row; `build` makes an encoder and a decoder of a table.

The papers' tables do not print paddings; those here give the sizes that the tables name. Where a
table as printed cannot be built, the comment beside it says so.
"""

from companion.networks.table import (
    BN,
    CODE,
    DOUBLE,
    ELU,
    FLAT,
    GAIN,
    GELU,
    HALVE,
    LEAKY,
    QUARTER,
    RELU,
    SIGMOID,
    TANH,
    TIMES_FOUR,
    Part,
    Row,
    Table,
    block,
    conv,
    conv_t,
    dense,
    fc_block,
    image,
    linear,
)

CONVNET_ENCODER: list[Row] = [
    (conv(128, 4, 2), BN, RELU),
    (conv(256, 4, 2), BN, RELU),
    (conv(512, 4, 2), BN, RELU),
    (conv(1024, 4, 2), BN, RELU),
    (CODE,),
]
CELEBA_DECODER: list[Row] = [
    (linear(1024, 8, 8),),
    (conv_t(512, 5, 2), BN, RELU),
    (conv_t(256, 5, 2), BN, RELU),
    (conv_t(128, 5, 2), BN, RELU),
    (conv_t(3, 5, 1), SIGMOID),
]
# MLAE Table 7, after Chadebec et al.: 17.2156M, 39.4139M and 33.5459M parameters.
CONVNET = {
    "mnist": Table((1, 28, 28), 16, CONVNET_ENCODER, [
        (linear(1024, 4, 4),),
        (conv_t(512, 3, 2, to=7), BN, RELU),
        (conv_t(256, 3, 2), BN, RELU),
        (conv_t(1, 3, 2), SIGMOID),
    ]),
    "cifar10": Table((3, 32, 32), 256, CONVNET_ENCODER, [
        (linear(1024, 8, 8),),
        (conv_t(512, 4, 2), BN, RELU),
        (conv_t(256, 4, 2), BN, RELU),
        (conv_t(3, 4, 1), SIGMOID),
    ]),
    "celeba": Table((3, 64, 64), 64, CONVNET_ENCODER, CELEBA_DECODER),
}  # fmt: skip

RES = block("ResBlock", RELU, conv(32, 3, 1), RELU, conv(128, 1, 1))
# MLAE Table 8: 0.7339M and 4.78M parameters. The table's "29.6M" for CelebA cannot be met: its
# layers hold 1.62M. Its two inner Sigmoids are as printed.
RESNET = {
    "mnist": Table((1, 28, 28), 16, [
        (conv(64, 4, 2),),
        (conv(128, 4, 2),),
        (conv(128, 3, 2),),
        (RES,),
        (RES,),
        (CODE,),
    ], [
        (linear(128, 4, 4),),
        (conv_t(128, 3, 2, to=7),),
        (RES,),
        (RES, RELU),
        (conv_t(64, 3, 2), RELU),
        (conv_t(1, 3, 2), SIGMOID),
    ]),
    "cifar10": Table((3, 32, 32), 256, [
        (conv(64, 4, 2),),
        (conv(128, 4, 2),),
        (conv(128, 3, 1),),
        (RES,),
        (RES,),
        (CODE,),
    ], [
        (linear(128, 8, 8),),
        (RES,),
        (RES,),
        (conv_t(64, 4, 2),),
        (conv_t(3, 4, 2), SIGMOID),
    ]),
    "celeba": Table((3, 64, 64), 64, [
        (conv(64, 4, 2),),
        (conv(128, 4, 2),),
        (conv(128, 3, 2),),
        (conv(128, 3, 2),),
        (RES,),
        (RES,),
        (CODE,),
    ], [
        (linear(128, 4, 4),),
        (conv_t(128, 3, 2),),
        (RES,),
        (RES,),
        (conv_t(128, 5, 2), SIGMOID),
        (conv_t(64, 5, 2), SIGMOID),
        (conv_t(3, 4, 2), SIGMOID),
    ]),
}  # fmt: skip


def convnet_plus_mnist(width: int = 1) -> Table:
    """MLAE Table 9 for MNIST; App. E.2 has four times the channels, ``width=4``.

    As printed its layers hold 3.96M parameters, not "3.3M", and four up-samplings from 4×4
    overshoot 28 pixels. Without the printed decoder's ``ConvT(256, 3, 2)`` they hold 3.37M and end
    at 28 pixels, so that is what stands here.

    >>> from companion.networks import build, count
    >>> count(*build(convnet_plus_mnist())[:2])
    3370161
    """
    return Table((1, 28, 28), 16, [
        (conv(32 * width, 4, 2), BN, RELU),
        (conv(64 * width, 4, 2), BN, RELU),
        (conv(128 * width, 4, 2), BN, RELU),
        (conv(256 * width, 4, 2), BN, RELU),
        (CODE,),
        *4 * [(fc_block(512),)],
    ], [
        *4 * [(fc_block(512),)],
        (linear(256 * width, 4, 4),),
        (conv_t(128 * width, 3, 2, to=7), BN, RELU),
        (conv_t(64 * width, 3, 2), BN, RELU),
        (conv_t(1, 3, 2), SIGMOID),
    ])  # fmt: skip


# MLAE Table 9: 34.34M parameters for CelebA.
CONVNET_PLUS = {
    "mnist": convnet_plus_mnist(),
    "celeba": Table(
        (3, 64, 64),
        64,
        [*CONVNET_ENCODER, *4 * [(fc_block(256),)]],
        [*4 * [(fc_block(256),)], *CELEBA_DECODER],
    ),
}


def mlae_tabular(dim: int, latent_dim: int) -> Table:
    """MLAE App. E.3: two hidden layers and a ResNet of two blocks on the code, all of 256, ReLU.

    The authors' code has SiLU where the paper has ReLU.
    """
    blocks: list[Row] = 2 * [(fc_block(256, "relu"),)]
    hidden: list[Row] = 2 * [(linear(256), RELU)]
    encoder, decoder = [*hidden, (CODE,), *blocks], [*blocks, *hidden, (linear(dim),)]
    return Table((dim,), latent_dim, encoder, decoder)


# MLAE App. E.1: four residual blocks of one hidden layer of 256 on the two coordinates, each way.
# Paper, settings and notebook of the authors name three different networks; this is the paper's.
SINUSOID = Table((2,), 1, [
    *4 * [(fc_block(256, hidden=1),)], (CODE,),
], [
    (linear(2),), *4 * [(fc_block(256, hidden=1),)],
])  # fmt: skip


def _rif_encoder(kernel: int, channels: list[int], strides: list[int]) -> list[Row]:
    rows = zip(channels, strides, strict=True)
    return [*((conv(c, kernel, s, padding="same"), BN, ELU) for c, s in rows), (CODE,)]


# RIF App. A, in TensorFlow's "same" padding. No decoder can be built as printed. MNIST's last row
# has 64 channels for a grey image: here 1. CIFAR-10's and CelebA's four doublings give 128 and 256
# pixels: here the last two have stride 1, which keeps every row and every parameter.
RIF = {
    "mnist": Table((1, 28, 28), 32, _rif_encoder(4, [64, 128, 256, 512, 512], [1, 2, 2, 2, 1]), [
        (linear(256, 7, 7), BN, ELU),
        (conv_t(512, 4, 1), BN, ELU),
        (conv_t(256, 4, 1), BN, ELU),
        (conv_t(128, 4, 2), BN, ELU),
        (conv_t(64, 4, 2), ELU),
        (conv_t(1, 4, 1), SIGMOID),
    ]),
    "cifar10": Table(
        (3, 32, 32), 128, _rif_encoder(4, [128, 256, 512, 1024, 1024], [1, 2, 2, 2, 1]), [
        (linear(512, 8, 8), BN, ELU),
        (conv_t(1024, 4, 1), BN, ELU),
        (conv_t(512, 4, 2), BN, ELU),
        (conv_t(256, 4, 2), BN, ELU),
        (conv_t(128, 4, 1), ELU),  # printed with stride 2
        (conv_t(128, 4, 1), ELU),  # printed with stride 2
        (conv(3, 1, 1), SIGMOID),
    ]),
    "celeba": Table(
        (3, 64, 64), 128, _rif_encoder(5, [128, 256, 512, 1024, 1024], [1, 2, 2, 2, 2]), [
        (linear(512, 16, 16), BN, ELU),
        (conv_t(1024, 5, 1), BN, ELU),
        (conv_t(512, 5, 2), BN, ELU),
        (conv_t(256, 5, 2), BN, ELU),
        (conv_t(128, 5, 1), ELU),  # printed with stride 2
        (conv_t(128, 5, 1), ELU),  # printed with stride 2
        (conv(3, 5, 1), SIGMOID),
    ]),
}  # fmt: skip


def _dense(latent_dim: int, widths: list[int], activation: Part) -> Table:
    rows: list[Row] = [(linear(width), activation) for width in widths]
    decoder = [*rows[::-1], (linear(1, 28, 28),)]
    return Table((1, 28, 28), latent_dim, [*rows, (CODE,)], decoder)


# SFVAE App. B: CelebA and 3D Chairs after Higgins et al.; MNIST fully connected. Section 5's
# comparison on MNIST and Omniglot has two hidden layers of 200 with tanh.
SFVAE = {
    "celeba": Table((3, 64, 64), 32, [
        (conv(32, 4, 2), RELU),
        (conv(32, 4, 2), RELU),
        (conv(64, 4, 2), RELU),
        (conv(64, 4, 2), RELU),
        (conv(256, 4, 1, padding=0), RELU),
        (CODE,),
    ], [
        (linear(256, 1, 1), RELU),
        (conv_t(64, 4, 1, to=4), RELU),
        (conv_t(64, 4, 2), RELU),
        (conv_t(32, 4, 2), RELU),
        (conv_t(32, 4, 2), RELU),
        (conv_t(3, 4, 2),),
    ]),
    "mnist": _dense(2, [512, 256], RELU),
    "mnist-tanh": _dense(50, [200, 200], TANH),
}  # fmt: skip


def aef_bottleneck(size: int, latent_dim: int) -> Table:
    """AEF App. D.1 for colour images: residual bottleneck blocks (Child, 2021) at sizes down to 1.

    The paper names neither widths nor sizes. Its Tables 4 and 5 fix them, and the authors' code
    has them: as many channels as latents, a quarter of them inside a block, four blocks at each
    size and one more where it changes, fully connected ones at one pixel.

    >>> from companion.networks import build, count
    >>> count(*build(aef_bottleneck(32, 64), heads=2)[:2])
    295299
    """
    inner = max(1, latent_dim // 4)
    narrow = (GELU, conv(inner, 1, 1), *2 * (GELU, conv(inner, 3, 1)), GELU)
    fully = 3 * (GELU, dense(inner)) + (GELU,)
    pixels = block("Bottleneck", *narrow, conv(latent_dim, 1, 1))
    pixel = block("Bottleneck(1 × 1)", *fully, dense(latent_dim))
    halvings = (size // 4).bit_length() - 1
    return Table((3, size, size), latent_dim, [
        (conv(latent_dim, 3, 1),),
        *halvings * [(*5 * (pixels,), HALVE)],
        (*5 * (pixels,), QUARTER, FLAT),
        3 * (pixel,),
        (*fully, CODE),
    ], [
        4 * (pixel,),
        (image(latent_dim), TIMES_FOUR, *5 * (pixels,)),
        *halvings * [(DOUBLE, *5 * (pixels,))],
        (GAIN, conv(3, 1, 1)),
    ])  # fmt: skip


# AEF App. D.1. For MNIST the paper names kernels and counts of filters; strides of 2 are ours.
AEF = {
    "mnist": Table((1, 28, 28), 32, [
        (conv(64, 3, 2), RELU),
        (conv(128, 3, 2), RELU),
        (CODE,),
    ], [
        (linear(128, 7, 7), RELU),
        (conv_t(64, 4, 2), RELU),
        (conv_t(1, 4, 2),),
    ]),
    "32": aef_bottleneck(32, 128),
    "64": aef_bottleneck(64, 256),
}  # fmt: skip


def infogan(channels: int, size: int) -> Table:
    """The networks of 2SVAE's Table 1: InfoGAN's, as Lucic et al. use them for every data set."""
    return Table((channels, size, size), 64, [
        (conv(64, 4, 2), LEAKY),
        (conv(128, 4, 2), BN, LEAKY),
        (linear(1024), BN, LEAKY),
        (CODE,),
    ], [
        (linear(1024), BN, RELU),
        (linear(128, size // 4, size // 4), BN, RELU),
        (conv_t(64, 4, 2), BN, RELU),
        (conv_t(channels, 4, 2), SIGMOID),
    ])  # fmt: skip


INFOGAN = {"mnist": infogan(1, 28), "cifar10": infogan(3, 32), "celeba": infogan(3, 64)}


def scale_blocks(channels: int, size: int) -> Table:
    """The residual networks of 2SVAE's Figs 1 and 12 (App. D): a Scale Block at each size.

    The figure names no kernels: here 3×3, normalised and activated before each. Grey images of 28
    pixels are decoded at 32 and cut down by an unpadded last kernel of 5.
    """
    scales, top = (4, 1024) if size == 64 else (3, 512)

    def scale_block(width: int) -> Row:
        one = block("ResBlock", *2 * (BN, RELU, conv(width, 3, 1)))
        return one, one

    fully = block("ResBlock(512)", *2 * (BN, RELU, dense(512)))
    widths = [32 * 2**n for n in range(scales + 1)]
    last = conv(channels, 5, 1, padding=0) if size == 28 else conv(channels, 3, 1)
    ups = [top >> n for n in range(1, top.bit_length() - 5)]
    return Table((channels, size, size), 64, [
        (conv(32, 3, 1),),
        *((*scale_block(w), conv(2 * w, 3, 2)) for w in widths[:-1]),
        (FLAT, fully, fully),
        (CODE,),
    ], [
        (linear(top, 2, 2),),
        *((conv_t(w, 4, 2), *scale_block(w)) for w in ups),
        (last, SIGMOID),
    ])  # fmt: skip


SCALE_BLOCKS = {
    "mnist": scale_blocks(1, 28),
    "cifar10": scale_blocks(3, 32),
    "celeba": scale_blocks(3, 64),
}
