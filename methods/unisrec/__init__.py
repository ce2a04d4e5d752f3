"""UniSRec: item texts through a mixture-of-experts adaptor, with or without item embeddings.

* `adaptor` and `model`: the network (METHODS 5.2);
* `pretraining` and `contrast`: the two contrastive losses over several domains (METHODS 5.3);
* `released` and `safe_pickle`: the authors' checkpoints, read without running anything in them;
* `settings` and `method`: fine-tuning, text-only or with ids (METHODS 5.4).
"""

from methods.unisrec.method import UniSRec

METHOD = UniSRec
