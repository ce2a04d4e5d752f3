"""External submissions: scores, ranked lists or ranks made by other code, as rows of a board.

A file is read, checked against the split it names, and becomes an ordinary record. Nothing in it is
executed, and no pickle is ever opened.

Forms, told by the file's ending:

- ``.parquet``; ``.csv`` and ``.tsv`` (UTF-8, a line of column names);
- ``.trec`` and ``.run``: six columns without names, ``user Q0 item rank score tag``, with one
  space or one tab between them;
- ``.npz``: numpy arrays.

Content, told by the columns or arrays (other ones are passed over):

============== ====================================== ==============================================
content        columns of a table                     arrays of an npz file
============== ====================================== ==============================================
scores         user, item, score                      ``scores`` float [n_users, n_items]
ranked lists   user, item, rank, or                   ``items`` or ``item_index`` [n_users, k], best
               user, item, rank, score (TREC)         first, filled up with -1 (ids: with the empty
                                                      text); ``scores`` float [n_users, k] if known
ranks          user, optimistic, pessimistic, or      ``optimistic`` and ``pessimistic``, or
               user, rank                             ``rank``, int [n_users]
============== ====================================== ==============================================

Names. ``user`` (or ``user_id``) and ``item`` (or ``item_id``) hold ids, the ones that ``data
export`` writes; ``user_index`` and ``item_index`` hold positions in the prepared data set, from 0
(ids sorted by code point). In an npz file, ``users`` or ``user_index`` [n_users] names the rows,
``items`` or ``item_index`` [n_items] the columns of ``scores``; without them, rows are all users
and columns all items, by index. There, texts are ids and integers are indices; integers called
``users`` or ``items`` are refused where the data set's ids are whole numbers themselves.

Ranks. A list's ranks count from 1 (or all lists' from 0), each once. Scores beside a list decide
ties, and must not contradict its ranks; a rank alone is an order without ties. An item without a
score, or with ``-inf``, is not recommended. A target that is not recommended is a miss in every
metric. Where only ranks are given, 0 says so.

The split is named by its hash: in the Parquet schema's metadata under ``split_hash``, in an npz
array ``split_hash`` without dimensions, in a first line ``# split_hash: ...`` of a text file, or by
``--external-split``.
"""
