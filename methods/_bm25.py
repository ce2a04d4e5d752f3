"""Okapi BM25 over item texts, equal to ``rank_bm25.BM25Okapi`` bit for bit and far quicker.

The peer computes, for every word of a query, the word's part of the score in every document. That
part depends on the word and the document alone, so it is computed here once, when the index is
built, by the same operations in the same order. What is left for a query is to add these parts in
the order of its words, in float64: the same additions that the peer makes (adding the zero of a
document without the word changes nothing), hence the same bits, and exact ties between documents
of equal words.

Facts worth knowing when reading scores over rendered items (with the default k1, b and epsilon,
which are the paper's):

- A word in more than half of the documents has a negative idf, which is replaced by ``epsilon``
  times the mean idf over all word types. The template's labels stand in every item; so any query
  which holds one gives every item a positive floor, and the lowest score is then not zero.
- A word in exactly half of the documents has an idf of zero and adds nothing.
- In catalogues of a few items most words are in more than half of the documents, and the mean idf
  may be negative: scores are then zero or negative, and more words mean a lower score.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.compiled import compiled
from harness.errors import MethodError

# A word in more than this share of the documents is stored as a row over all documents: adding
# a row in memory order is quicker than following that many postings one by one.
DENSE_SHARE = 0.2


def words_of(text: str) -> list[str]:
    """Return the lower-cased, whitespace-separated words of ``text``, in order, with repeats."""
    return text.lower().split()


class BM25:
    """An index of documents that answers queries with a score for every document.

    Args:
        documents: texts, cut into words by `words_of`. A document without words scores 0 always.
        k1: saturation of a word's frequency, above 0.
        b: how far longer documents are discounted, 0 to 1.
        epsilon: what replaces a negative idf, as a share of the mean idf.

    Raises:
        MethodError: no document, no word in any of them, or a parameter out of its range.
    """

    def __init__(
        self,
        documents: Sequence[str],
        *,
        k1: float = 1.5,
        b: float = 0.75,
        epsilon: float = 0.25,
    ) -> None:
        if not (k1 > 0 and math.isfinite(k1) and 0 <= b <= 1 and math.isfinite(epsilon)):
            raise MethodError(
                f"BM25 needs k1 above 0, b from 0 to 1 and a finite epsilon, "
                f"found k1={k1}, b={b}, epsilon={epsilon}"
            )
        if not documents:
            raise MethodError("BM25 needs at least one document, found an empty catalogue")
        self.n_documents = len(documents)
        self.k1, self.b, self.epsilon = k1, b, epsilon
        self._word_index: dict[str, int] = {}
        self._build(documents)

    @property
    def n_words(self) -> int:
        """The number of word types in the documents."""
        return len(self._word_index)

    def scores(self, query: str) -> NDArray[np.float64]:
        """Return the score of every document for ``query``: float64 [n_documents].

        A word counts as often as the query repeats it; unknown words count nothing, so that an
        empty query scores every document 0.
        """
        scores: NDArray[np.float64] = self._add_up([query])[0]
        return scores

    def score_many(self, queries: Sequence[str]) -> NDArray[np.float64]:
        """Return float64 [n_queries, n_documents]; a query given twice is scored once."""
        first = {query: row for row, query in enumerate(dict.fromkeys(queries))}
        scores = self._add_up(first)
        if len(first) == len(queries):
            return scores
        return scores[[first[query] for query in queries]]

    def _add_up(self, queries: Iterable[str]) -> NDArray[np.float64]:
        index = self._word_index
        rows = [[index[word] for word in words_of(query) if word in index] for query in queries]
        words = np.array([word for row in rows for word in row], dtype=np.int32)
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        scores = np.zeros((len(rows), self.n_documents))
        _add_parts(
            words,
            offsets,
            self._starts,
            self._documents,
            self._parts,
            self._dense_row,
            self._dense_parts,
            scores,
        )
        return scores

    def _build(self, documents: Sequence[str]) -> None:
        """Lay out the parts of the scores: postings by word, rows for the frequent words."""
        word, document, frequency, lengths = self._count(documents)
        n_containing = np.bincount(word, minlength=self.n_words)
        idf = _floored_idf(n_containing, self.n_documents, self.epsilon)
        # the operations of the peer in its order: float addition is not associative
        discount = 1 - self.b + self.b * lengths / (int(lengths.sum()) / self.n_documents)
        saturation = frequency * (self.k1 + 1) / (frequency + (self.k1 * discount)[document])
        parts = idf[word] * saturation

        dense = n_containing > DENSE_SHARE * self.n_documents
        self._dense_row = np.where(dense, np.cumsum(dense) - 1, -1).astype(np.int32)
        self._dense_parts = np.zeros((int(dense.sum()), self.n_documents))
        is_dense = dense[word]
        self._dense_parts[self._dense_row[word[is_dense]], document[is_dense]] = parts[is_dense]

        sparse = np.flatnonzero(~is_dense)
        by_word = sparse[np.argsort(word[sparse], kind="stable")]
        self._documents = document[by_word].astype(np.int32)
        self._parts = np.ascontiguousarray(parts[by_word])
        self._starts = np.zeros(self.n_words + 1, dtype=np.int64)
        np.cumsum(np.where(dense, 0, n_containing), out=self._starts[1:])

    def _count(
        self, documents: Sequence[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Give the words their numbers, in the order of their first appearance, and count them.

        Returns the word, the document and the frequency of every pair, and the documents' lengths.
        """
        index = self._word_index
        word: list[int] = []
        frequency: list[int] = []
        n_distinct = np.zeros(len(documents), dtype=np.int64)
        lengths = np.zeros(len(documents), dtype=np.int64)
        for number, text in enumerate(documents):
            words = words_of(text)
            counts = Counter(words)  # keeps the order of first appearance
            word.extend(index.setdefault(key, len(index)) for key in counts)
            frequency.extend(counts.values())
            n_distinct[number], lengths[number] = len(counts), len(words)
        if not index:
            raise MethodError(
                f"BM25 found no word in any of {len(documents)} documents; "
                "check that the data set renders its item texts"
            )
        document = np.repeat(np.arange(len(documents)), n_distinct)
        return np.array(word), document, np.array(frequency), lengths


def _floored_idf(
    n_containing: NDArray[np.int64], n_documents: int, epsilon: float
) -> NDArray[np.float64]:
    """Return float64 [n_words], the idf of each word, negative values replaced.

    The mean is a running sum over word types in the order of their first appearance, and the
    logarithm is that of ``math``: numpy's pairwise sum and its own logarithm differ in the last
    bit, which would break ties and equality with the peer.
    """
    idf = [
        math.log(n_documents - count + 0.5) - math.log(count + 0.5)
        for count in n_containing.tolist()
    ]
    total = 0.0
    for value in idf:
        total += value
    floor = epsilon * (total / len(idf))
    return np.array([floor if value < 0 else value for value in idf])


@compiled
def _add_parts(
    words: NDArray[np.int32],
    offsets: NDArray[np.int64],
    starts: NDArray[np.int64],
    documents: NDArray[np.int32],
    parts: NDArray[np.float64],
    dense_row: NDArray[np.int32],
    dense_parts: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Add to each row of ``scores`` the parts of its query's words, in the query's order."""
    n_documents = scores.shape[1]
    for query in range(len(offsets) - 1):
        row = scores[query]
        for position in range(offsets[query], offsets[query + 1]):
            word = words[position]
            dense = dense_row[word]
            if dense >= 0:
                for document in range(n_documents):
                    row[document] += dense_parts[dense, document]
            else:
                for posting in range(starts[word], starts[word + 1]):
                    row[documents[posting]] += parts[posting]
