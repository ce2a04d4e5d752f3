"""BERT4Rec: bidirectional attention over item indices, trained on masked items.

* `masking`: which items of a sequence are masked, and what is asked for;
* `model`: RecBole's network with the loss at masked items alone;
* `method`: settings, batches, scoring.
"""

from methods.bert4rec.method import BERT4Rec

METHOD = BERT4Rec
