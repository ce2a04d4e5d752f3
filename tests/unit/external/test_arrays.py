"""Arrays: matrices of scores in blocks, matrices of lists, ranks; and every way to be refused."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from harness.external import arrays as arrays_module
from harness.external.held_out import HeldOut, Names
from harness.external.reading import rank_submission
from harness.external.submission import Submission
from harness.ranking import rank_targets

NOT = -np.inf
SCORES = np.array([[2, 2, 3, 1], [NOT, NOT, NOT, 5], [NOT, 1, 0.5, NOT]], np.float32)


def _ranks(ranked):
    return ranked.ranks.optimistic.tolist(), ranked.ranks.pessimistic.tolist()


def test_a_matrix_may_be_stored_column_by_column(arrays, monkeypatch):
    monkeypatch.setattr(arrays_module, "BLOCK_BYTES", 20)
    assert _same(arrays(scores=np.asfortranarray(SCORES)), arrays(scores=SCORES))


def _same(one, two):
    return all(
        np.array_equal(getattr(one.ranks, part), getattr(two.ranks, part))
        for part in ("optimistic", "pessimistic", "top")
    )


@pytest.mark.parametrize("block", [1, 20, 10_000])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_a_matrix_is_ranked_in_blocks_of_any_size(arrays, held_out, monkeypatch, kind, block):
    monkeypatch.setattr(arrays_module, "BLOCK_BYTES", block)
    ranked = arrays(scores=SCORES.astype(kind))
    assert _ranks(ranked) == ([2, 1, 0], [3, 1, 0])
    expected = rank_targets(SCORES, held_out.targets)
    assert np.array_equal(ranked.ranks.top, expected.top)
    assert (ranked.content, ranked.ties, ranked.targets_not_listed) == ("scores", "scores", 1)
    assert ranked.mean_list_length == pytest.approx(7 / 3)


@pytest.mark.parametrize("named", ["ids", "indices"])
def test_names_bring_rows_and_columns_into_order(arrays, named):
    plain = arrays(scores=SCORES)
    rows, columns = [2, 0, 1], [3, 1, 0, 2]
    users = {"users": np.array(list("abc"))[rows], "items": np.array(list("wxyz"))[columns]}
    if named == "indices":
        users = {"user_index": np.array(rows), "items": np.array(columns)}
    assert _same(arrays(scores=SCORES[rows][:, columns], **users), plain)


def test_an_item_without_a_column_is_not_recommended(arrays):
    ranked = arrays(scores=SCORES[:, 1:3], items=np.array(["x", "y"]))
    assert _ranks(ranked) == ([2, 0, 0], [2, 0, 0])
    assert ranked.ranks.top[:, :3].tolist() == [[2, 1, -1], [-1, -1, -1], [1, 2, -1]]


@pytest.mark.parametrize("name", ["items", "item_index"])
def test_lists_are_filled_up_with_minus_one(arrays, name):
    ranked = arrays(**{name: np.array([[2, 1, 0], [3, -1, -1], [-1, -1, -1]])})
    assert _ranks(ranked) == ([2, 1, 0], [2, 1, 0])
    assert ranked.ranks.top[:, :4].tolist() == [[2, 1, 0, -1], [3] + [-1] * 3, [-1] * 4]
    assert (ranked.content, ranked.ties) == ("ranked lists", "none")
    assert ranked.mean_list_length == pytest.approx(4 / 3)


def test_lists_of_ids_with_scores_that_tie(arrays):
    ranked = arrays(
        users=np.array(["c", "b", "a"]),
        items=np.array([["w", "z"], ["z", ""], ["y", "x"]]),
        scores=np.array([[1.0, 1.0], [7.0, np.nan], [3.0, 2.0]]),  # padding has no score
    )
    assert _ranks(ranked) == ([2, 1, 1], [2, 1, 2])
    assert ranked.ties == "scores"


def test_stated_ranks(arrays):
    both = arrays(optimistic=np.array([2, 1, 0]), pessimistic=np.array([4, 1, 0], np.int8))
    assert _ranks(both) == ([2, 1, 0], [4, 1, 0])
    one = arrays(rank=np.array([1, 2, 3]), users=np.array(["b", "a", "c"]))
    assert _ranks(one) == ([2, 1, 3], [2, 1, 3])


# ---- what is refused -----------------------------------------------------------------------------

LISTS = np.array([[2, 1], [3, -1], [0, 1]])
REFUSED = {
    "no kind": ({"ranks": LISTS}, "its arrays are 'ranks', which is none of the kinds"),
    "two lists": ({"items": LISTS, "item_index": LISTS}, "none of the kinds"),
    "shape": ({"scores": SCORES[:, :3]}, "must have the shape (3, 4) (users, items), found (3, 3)"),
    "one dimension": ({"scores": SCORES[0]}, "found (4,)"),
    "whole scores": ({"scores": LISTS}, "float16, float32 or float64, found int64"),
    "long scores": ({"scores": SCORES.astype(np.longdouble)}, "found float128"),
    "NaN": ({"scores": np.where(SCORES == 5, np.nan, SCORES)}, "user 'b', item 'z' is NaN"),
    "missing users": ({"scores": SCORES[:2], "users": np.array(["a", "c"])},
                      "1 of 3 test users are missing: 'b'"),
    "a user twice": ({"scores": SCORES[[0, 1, 2, 0]], "users": np.array(list("abca"))},
                     "1 users stand there more than once: 'a'"),
    "an item twice": ({"scores": SCORES, "items": np.array(list("wxyy"))}, "two columns"),
    "names of two dimensions": ({"scores": SCORES, "users": np.array([["a"]])}, "one dimension"),
    "named twice": ({"scores": SCORES, "users": np.array(list("abc")), "user_index": np.arange(3)},
                    "users and user_index must be one array"),
    "unknown id": ({"scores": SCORES, "items": np.array(list("wxyq"))}, "1 items are not", ),
    "unknown index": ({"items": np.array([[9], [3], [0]])}, "1 items are not in the data set: '9'"),
    "bytes": ({"scores": SCORES, "items": np.array([b"w", b"x", b"y", b"z"])},
              "texts or whole numbers, found |S1"),
    "texts for indices": ({"item_index": np.array([["w"], ["x"], ["y"]])}, "must hold whole"),
    "hole": ({"items": np.array([[2, 1], [-1, 3], [0, 1]])}, "row 1 has an item behind padding"),
    "list without a user": ({"items": LISTS[:2]}, "a row for each of 3 users"),
    "item twice": ({"items": np.array([[2, 2], [3, -1], [0, 1]])}, "user 'a', item 'y'"),
    "list too long": ({"items": np.zeros((3, 5), int)}, "has 5 items, the catalogue 4"),
    "scores of another shape": ({"items": LISTS, "scores": SCORES}, "of the shape (3, 2) of items"),
    "rising scores": ({"items": LISTS, "scores": np.array([[1.0, 2], [1, 1], [1, 1]])},
                      "contradict each other for user 'a'"),
    "ranks of two kinds": ({"rank": np.arange(3), "optimistic": np.arange(3)}, "keep one"),
    "ranks of another shape": ({"rank": np.ones(2, int)}, "of the shape (3,), found int64 (2,)"),
    "broken ranks": ({"rank": np.ones(3)}, "whole numbers of the shape (3,), found float64"),
    "rank beyond": ({"rank": np.array([1, 2, 5])}, "user 'c' has the optimistic rank 5"),
    "objects": ({"rank": np.array([1, 2, None], object)}, "cannot be read as npz"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_arrays_are_refused(arrays, refused, what):
    parts, *expected = REFUSED[what]
    refused(lambda: arrays(**parts), *expected)


def test_a_pickle_is_never_opened(tmp_path, read, refused):
    path = tmp_path / "f.npz"
    np.savez(path, scores=np.array([[print]], object), allow_pickle=True)
    refused(lambda: read(path), "found object")


def test_whole_numbers_that_could_be_ids_are_refused(tmp_path):
    held_out = HeldOut(Names("user", ("1", "2")), Names("item", ("0", "1")), np.array([1, 0]))

    def ranked(**parts):
        np.savez(tmp_path / "f.npz", **parts)
        return rank_submission(Submission("gru", 0, tmp_path / "f.npz"), held_out)

    lists = np.array([[1], [1]])
    with pytest.raises(Exception, match=r"could be ids .* or call the array item_index"):
        ranked(items=lists)
    with pytest.raises(Exception, match="or call the array user_index"):
        ranked(item_index=lists, users=np.array([1, 0]))
    assert _ranks(ranked(item_index=lists)) == ([1, 0], [1, 0])
    assert _ranks(ranked(items=lists.astype(str))) == ([1, 0], [1, 0])


# ---- damage --------------------------------------------------------------------------------------


def _archive(path, name, content, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(name, content)
    return path


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_matrix_that_is_too_short_or_too_long_for_its_header(tmp_path, read, refused, kind):
    whole = _npy(SCORES)
    path = _archive(tmp_path / "f.npz", "scores.npy", whole, kind)
    assert _ranks(read(path)) == ([2, 1, 0], [3, 1, 0])
    for content in (whole[:-4], whole + b"1234"):
        _archive(path, "scores.npy", content, kind)
        refused(lambda: read(path), "cannot be read as npz")


def test_a_flipped_byte_in_a_matrix(tmp_path, read, refused):
    path = _archive(tmp_path / "f.npz", "scores.npy", _npy(SCORES))
    content = path.read_bytes()
    at = content.index(np.float32(5).tobytes())
    path.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    refused(lambda: read(path), "cannot be read as npz")


def test_what_is_no_npz_file(tmp_path, read, refused):
    path = tmp_path / "f.npz"
    path.write_bytes(b"no archive")
    refused(lambda: read(path), "cannot be read as npz")
    refused(lambda: read(_archive(path, "readme.txt", b"hello there")), "cannot be read as npz")
