"""``run --external``: files made elsewhere become rows like any other, or are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.files import exclusive_lock
from harness.progress import Progress
from harness.records import read_record, verified_ranks
from harness.splits import leave_one_out, split_hash
from tests.toys import write_card

SMALL = Path(__file__).with_name("ml-100k-small.toml")
MADE_ELSEWHERE = "Ranks made elsewhere; the harness verified coverage, split and ties, not how"


def _data(shell):
    return prepare(load_card(str(shell.card)), shell.cache, Progress(shown=False))


def _split(shell):
    return split_hash(_data(shell).content_hash)


def _file(shell, name="others.npz", scores=None, **parts):
    """Write a matrix of scores for the tiny data set, which names its split."""
    scores = np.random.default_rng(5).random((30, 20)) if scores is None else scores
    path = shell.out.parent / name
    np.savez(path, scores=scores, **{"split_hash": _split(shell), **parts})
    return path


def _ranks(shell, name, seed=0, dataset="tiny"):
    (folder,) = (shell.out / dataset / name).glob(f"seed{seed}-*")
    return verified_ranks(folder, read_record(folder / "record.json"))


@pytest.fixture
def scores_of_random(monkeypatch):
    """User index -> what the random method scored for it."""
    from methods.random import METHOD

    score, kept = METHOD.score, {}

    def keep(self, histories, candidates):
        found = score(self, histories, candidates)
        kept.update(zip(histories.users.tolist(), found, strict=True))
        return found

    monkeypatch.setattr(METHOD, "score", keep)
    return kept


# ---- rows like any other -------------------------------------------------------------------------


def test_a_score_matrix_of_a_method_has_its_ranks_metrics_and_a_row(shell, scores_of_random):
    shell.card = SMALL
    assert shell.run("random", "--quiet").code == 0
    scores = np.array([scores_of_random[user] for user in range(len(scores_of_random))])
    path = _file(shell, scores=scores)
    done = shell.run("", "--external", f"others={path}", "--quiet")
    assert done.code == 0, done.out + done.err
    records = shell.records()
    own, theirs = records["random 0"], records["others 0"]
    assert theirs["ranks_sha256"] == own["ranks_sha256"]
    assert theirs["metrics"] == own["metrics"]
    assert theirs["dataset"] == own["dataset"]
    page = (shell.out / "ml-100k-small" / "leaderboard.md").read_text(encoding="utf-8")
    assert MADE_ELSEWHERE in page
    for text in (page, done.out):
        assert "others" in text
        assert "not stated" in text
    done = shell("compare", "others", "random", "--datasets", "ml-100k-small", "--out", shell.out)
    assert done.code == 0
    assert "+0.0000" in done.out
    done = shell("slices", "others", "--datasets", shell.card, "--out", shell.out,
                 "--cache", shell.cache, "--quiet")  # fmt: skip
    assert done.code == 0
    assert f"{theirs['metrics']['NDCG@10']['pessimistic']:.4f}" in done.out


@pytest.mark.parametrize("ending", ["csv", "tsv", "trec", "parquet"])
def test_lists_made_of_the_export_need_no_mapping(shell, ending):
    shell.card = SMALL
    shell("data", "export", SMALL, "--form", "parquet", "--to", shell.out.parent / "exported",
          "--cache", shell.cache, "--quiet")  # fmt: skip
    folder = shell.out.parent / "exported" / "ml-100k-small"
    events = pd.read_parquet(folder / "interactions.parquet")
    stated = json.loads((folder / "split.json").read_text())["split_hash"]
    # somebody else's idea of a method: the same twenty items for everybody
    recent = events[events.part == "train"].item_id.drop_duplicates(keep="last").tail(20)
    users = events.user_id.unique()
    lists = pd.DataFrame(
        [(user, item, rank) for user in users for rank, item in enumerate(recent, start=1)],
        columns=["user_id", "item_id", "rank"],
    )
    path = shell.out.parent / f"recent.{ending}"
    _write(lists, path, stated)
    done = shell.run("", "--external", f"recent={path}", "--quiet")
    assert done.code == 0, done.out + done.err
    record = shell.records()["recent 0"]
    targets = events[events.part == "test"].set_index("user_id").item_id.loc[users]
    rank_of = {item: rank for rank, item in enumerate(recent, start=1)}
    ranks = targets.map(rank_of).fillna(np.inf).to_numpy()
    for bound in ("optimistic", "pessimistic"):
        assert record["metrics"]["MRR"][bound] == pytest.approx((1 / ranks).mean(), abs=1e-12)
        assert record["metrics"]["Recall@10"][bound] == pytest.approx((ranks <= 10).mean())
    assert record["report"]["targets_not_listed"] == np.isinf(ranks).sum()
    assert record["report"]["mean_list_length"] == len(recent)
    assert record["report"]["content"] == "ranked lists"


def _write(lists, path, stated):
    if path.suffix == ".parquet":
        table = pa.Table.from_pandas(lists)
        metadata = {**table.schema.metadata, "split_hash": stated}
        pq.write_table(table.replace_schema_metadata(metadata), path)
        return
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"# split_hash: {stated}\n")
        if path.suffix == ".trec":
            stream.writelines(
                f"{row.user_id} Q0 {row.item_id} {row.rank} {1 / row.rank} recent\n"
                for row in lists.itertuples()
            )
        else:
            lists.to_csv(stream, sep="," if path.suffix == ".csv" else "\t", index=False)


def test_what_the_record_says(shell):
    done = shell("run", "--external", f"others={_file(shell)}", "--datasets", shell.card,
                 "--out", shell.out, "--cache", shell.cache, "--quiet")  # fmt: skip
    assert done.code == 0
    assert set(shell.records()) == {"others 0", "popularity 0", "lir 0", "random 0"}
    record = shell.records()["others 0"]
    assert record["status"] == "ok"
    assert record["method"]["name"] == "external"
    assert record["method"]["paper"] == "external submission"
    assert (record["method"]["inputs"], record["method"]["settings"]) == ([], {})
    assert record["method"]["external_inputs"] == {
        "seed 0": f"npz, sha256 {record['report']['file_sha256']}"
    }
    assert record["cost"] == {}
    assert record["fit_log_sha256"] is None
    assert record["code"]["source"] == "external"
    assert (record["code"]["commit"], record["code"]["dirty"]) == (None, None)
    assert record["code"]["read_by"].keys() == {"version", "commit", "dirty", "source"}
    assert record["report"]["note"].startswith(MADE_ELSEWHERE)
    assert not read_record(next((shell.out / "tiny" / "others").rglob("record.json"))).is_dirty
    assert _ranks(shell, "others")["top"].min() >= 0


def test_ranks_without_lists_have_no_items_ranked_first(shell):
    path = shell.out.parent / "ranks.csv"
    path.write_text("user,optimistic,pessimistic\n" + "".join(f"u{n:03d},1,2\n" for n in range(30)))
    done = shell.run("", "--external", f"others={path}", "--external-split", _split(shell))
    assert done.code == 0
    assert (_ranks(shell, "others")["top"] == -1).all()
    record = shell.records()["others 0"]
    assert record["tie_rate"] == 1.0
    assert "or their ties were made" in record["report"]["note"]


def test_the_same_file_is_kept_and_another_one_is_another_run(shell):
    path = _file(shell)
    option = ("--external", f"others={path}")
    dry = shell.run("", *option, "--dry-run")
    assert dry.out.splitlines()[0] == "tiny / others / seed 0: read: no record of this file yet"
    assert not shell.out.exists()
    shell.run("", *option)
    first = shell.records()["others 0"]
    done = shell.run("", *option)
    assert "others / seed 0: skip: finished" in done.err
    assert shell.records()["others 0"] == first
    assert "skip: finished" in shell.run("", *option, "--dry-run").out.splitlines()[0]
    shell.run("", *option, "--fresh", "--quiet")
    assert shell.records()["others 0"]["finished_at"] > first["finished_at"]

    path = _file(shell, scores=np.zeros((30, 20)))
    shell.run("", *option, "--quiet")
    records = [json.loads(p.read_text()) for p in (shell.out / "tiny/others").rglob("record.json")]
    assert len(records) == 2
    assert "100.0 %" in shell.page  # every target tied
    # going back shows the first file, though the other came later
    _file(shell)
    assert "skip: finished" in shell.run("", *option).err
    assert f"{first['metrics']['MRR']['pessimistic']:.4f}" in shell.page


def test_seeds_make_one_row(shell):
    files = [_file(shell, f"{seed}.npz", np.random.default_rng(seed).random((30, 20)))
             for seed in (3, 4)]  # fmt: skip
    options = [f"others@{seed}={path}" for seed, path in zip((3, 4), files, strict=True)]
    done = shell.run("", "--external", options[1], "--external", options[0], "--quiet")
    assert done.code == 0
    records = shell.records()
    assert records["others 3"]["row_id"] == records["others 4"]["row_id"]
    assert records["others 3"]["run_id"] != records["others 4"]["run_id"]
    assert any("| 3,4 " in line for line in shell.page.splitlines() if "| others" in line)


def test_each_file_goes_to_the_data_set_of_its_split(shell):
    tiny = _file(shell)
    card, shell.card = shell.card, write_card(
        shell.card.parent, [list("abcd"), list("bcda"), list("cdab")], "other"
    )  # fmt: skip
    other = _file(shell, "other.npz", np.ones((3, 4)))
    shell.card = f"{card},{shell.card}"
    done = shell.run("", "--external", f"x={tiny}", "--external", f"x={other}", "--quiet")
    assert done.code == 0
    assert len(_ranks(shell, "x")["user"]) == 30
    assert len(_ranks(shell, "x", dataset="other")["user"]) == 3


def test_it_is_published_without_allowing_uncommitted_code(shell, monkeypatch):
    from harness import environment

    monkeypatch.setattr(
        environment, "code_state", lambda: {"version": "1", "commit": "c0ffee", "dirty": False}
    )
    shell.run("", "--external", f"others={_file(shell)}", "--quiet")
    done = shell.leaderboard("publish", "--check")
    assert done.code == 0, done.out + done.err
    page = (shell.root / "tiny.md").read_text(encoding="utf-8")
    assert MADE_ELSEWHERE in page
    assert "uncommitted code" not in page


# ---- what is refused -----------------------------------------------------------------------------


def _refused(shell, code, expected, *options):
    done = shell.run("", *options)
    assert done.code == code, done.out + done.err
    assert done.out == ""
    line = done.err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    for part in expected:
        assert part in line
    assert not shell.out.exists()


def test_another_split_is_refused_before_anything_runs(shell):
    path = _file(shell, split_hash="f" * 64)
    expected = (f"'{'f' * 64}'", f"tiny {_split(shell)}", "--datasets")
    _refused(shell, 1, expected, "--external", f"others={path}")


def test_a_file_that_names_no_split_is_refused(shell):
    path = shell.out.parent / "f.csv"
    path.write_text("user,rank\n")
    _refused(shell, 1, ("nothing says which split",), "--external", f"others={path}")
    both = ("--external", f"others={_file(shell)}", "--external-split", "abc")
    _refused(shell, 1, (_split(shell), "'abc'"), *both)


def test_what_the_command_line_cannot_say(shell):
    path = _file(shell)
    _refused(shell, 2, ("has that name",), "--external", f"lir={path}")
    _refused(shell, 2, ("no file",), "--external", "others=missing.csv")
    twice = ("--external", f"others={path}", "--external", f"others@0={path}")
    _refused(shell, 2, ("both seed 0 on tiny", "others@SEED=FILE"), *twice)
    _refused(shell, 2, ("names no method, and neither --board nor --external",))
    done = shell.run("random", "--external-split", "abc")
    assert (done.code, "goes with --external" in done.err) == (2, True)


def test_a_refused_file_is_a_failed_row_and_stops_no_other(shell):
    scores = np.random.default_rng(5).random((30, 20))
    scores[3, 7] = np.nan
    done = shell.run("", "--external", f"others={_file(shell, scores=scores)}", "--quiet")
    assert done.code == 1
    assert "user 'u003', item 'i07' is NaN" in done.out
    records = shell.records()
    assert records["others 0"]["status"] == "failed"
    assert records["lir 0"]["status"] == "ok"
    assert "failed" in shell.page
    again = shell.run("", "--external", f"others={shell.out.parent / 'others.npz'}", "--dry-run")
    assert "it was refused before" in again.out
    assert shell.run("", "--external", f"others={_file(shell)}", "--quiet").code == 0


def test_a_file_that_changes_while_it_is_read_is_refused(shell, monkeypatch):
    from harness.external import recording

    path = _file(shell)
    rank = recording.rank_submission

    def change(submission, held_out):
        ranked = rank(submission, held_out)
        _file(shell, scores=np.zeros((30, 20)))
        return ranked

    monkeypatch.setattr(recording, "rank_submission", change)
    done = shell.run("", "--external", f"others={path}", "--quiet")
    assert done.code == 1
    assert "was changed while it was read" in done.out


def test_one_process_records_a_submission_at_a_time(shell):
    option = ("--external", f"others={_file(shell)}", "--quiet")
    shell.run("", *option)
    with exclusive_lock(shell.folder_of("others") / ".lock"):
        done = shell.run("", *option, "--fresh")
    assert done.code == 1
    assert "another process is recording this submission" in done.out


def test_a_file_for_a_data_set_that_is_absent_stops_no_other(shell):
    path = _file(shell, split_hash="f" * 64)
    gone = write_card(shell.out.parent / "gone", name="gone")
    for source in gone.parent.glob("*.jsonl"):
        source.unlink()
    shell.card = f"{shell.card},{gone}"
    done = shell.run("", "--external", f"others={path}", "--quiet")
    assert done.code == 1
    assert "gone" in done.err
    assert "is for the split" in done.err
    assert shell.records()["lir 0"]["status"] == "ok"


def test_targets_are_those_of_the_split(shell):
    targets = leave_one_out(_data(shell).sequences).test_targets
    scores = np.zeros((30, 20))
    scores[np.arange(30), targets] = 1.0
    assert shell.run("", "--external", f"oracle={_file(shell, scores=scores)}").code == 0
    assert shell.records()["oracle 0"]["metrics"]["Recall@1"]["pessimistic"] == 1.0
