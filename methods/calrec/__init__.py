"""CALRec (Li et al., RecSys 2024): a language model writes the next item, BM25 finds it.

From the inside out; each module imports those above it alone:

* `settings`, `keys`: what can be told, and which of it decides weights and texts;
* `prompts`, `attributes`, `sequences`: the layout of histories and targets (section 3.2);
* `location`, `tiny`, `backbone`, `loading`, `precision`, `masks`: the language model;
* `domains`: the target and the parts of a mixture, as they are read;
* `retrieval`, `matching`: from texts to item scores: Algorithm 1, hierarchies (section 6);
* `trie`, `sample_tree`, `generation`, `rehearsal`, `vllm_generation`: sampling with sequence scores
  (section 3.5);
* `writing`, `texts`: texts for the users of a data set, kept on disk;
* `objective`, `gradients`, `optimisation`: what is minimised (section 3.4), in parts that fit;
* `states`, `stage`, `training`: resumable stages, and what each one trains (section 3.3);
* `reranking`: another method's items in the order of their texts;
* `weights`: all stages of one run, done or taken from an earlier run;
* `accounting`, `method`: what it cost, and the order of it all.

Programs: `several` trains in several processes, `ablations` prints the paper's tables, `rematch`
retrieves again from the texts of a run.
"""

from methods.calrec.method import CALRec

METHOD = CALRec
