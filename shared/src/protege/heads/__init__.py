"""heads: a small linear model that chooses an answer out of a finite set: its features, its file, its answers.

Takes a rendered prompt, and its embedding where the head was taught with one; gives an answer, the pieces that it is
put together from, and the log-probability of each.
`tune` makes the file and `serve` reads it. Needs numpy and nothing else; holds no text but the answers themselves.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
