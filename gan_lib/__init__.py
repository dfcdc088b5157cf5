"""The small library that every chapter of the GAN course runs on.

Data flows one way: data → networks → objectives → training → metrics → figures and claims; a module
imports only from its left. Tensors are `(*members, batch, ...)`: one network is the case of no
members, and a list of seeds makes an ensemble that trains with the same lines of code.
"""

__version__ = "0.1.0"
