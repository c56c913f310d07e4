"""Maximum-likelihood autoencoders and their kin: exact likelihoods on a learned manifold.

The package is a row of small modules that you read from left to right; nothing is imported before
you ask for it.

>>> import companion
>>> companion.__version__
'0.1.0'
"""

__version__ = "0.1.0"
