"""CALRec (Li et al., RecSys 2024): a language model writes the next item, BM25 finds it.

* `prompts` and `sequences`: the paper's layout of histories and targets (section 3.2);
* `backbone` and `tiny`: the language model;
* `objective`, `training` and `optimisation`: what is minimised and how (sections 3.3 and 3.4);
* `location`: which files a backbone is read from, and their digests;
* `rehearsal`: a trial of a backbone from outside, before it is trained;
* `generation`, `masks`: temperature sampling with sequence scores (section 3.5);
* `retrieval`: Algorithm 1, from texts to item scores;
* `method`: the order of it all.

Only Stage II (fine-tuning on the data set at hand) and the next-item generation loss are here, so
a row of this method is the paper's variant without Stage I and without contrastive alignment. The
contrastive losses belong into `objective`, Stage I before Stage II in `training`, other matching
of texts and items beside `retrieval`.
"""

from methods.calrec.method import CALRec

METHOD = CALRec
