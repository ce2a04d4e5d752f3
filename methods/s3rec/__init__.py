"""S3-Rec: pre-training on what items and sequences tell of each other, then fine-tuning.

* `settings`: of both stages;
* `examples`: masked items and segments;
* `bce`: binary cross-entropy over all attributes without a table of all targets;
* `model`: RecBole's network, its four losses by index, and fine-tuning;
* `pretraining` and `files`: the first stage, resumable and shared between fine-tunings;
* `method`: the order of it all.
"""

from methods.s3rec.method import S3Rec

METHOD = S3Rec
