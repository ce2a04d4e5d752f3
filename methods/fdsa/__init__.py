"""FDSA: one self-attention over item indices, another over what items are like.

* `model`: RecBole's network with features of item texts, of attributes, or of both;
* `method`: settings, and what is read of the catalogue.
"""

from methods.fdsa.method import FDSA

METHOD = FDSA
