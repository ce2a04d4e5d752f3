"""Released checkpoints: files of exactly their layout, files that do not fit, and hostile ones."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, UsageError

torch = pytest.importorskip("torch")
pytest.importorskip("recbole")

from methods.unisrec.checkpoints import PARTS, part_state  # noqa: E402
from methods.unisrec.method import build_model  # noqa: E402
from methods.unisrec.released import identity, load_released  # noqa: E402
from methods.unisrec.safe_pickle import Inert, Stored, opened  # noqa: E402
from methods.unisrec.settings import Settings  # noqa: E402

WIDTH = 12
SMALL: dict[str, Any] = {
    "hidden_size": 8, "inner_size": 16, "n_layers": 2, "n_experts": 3, "max_history": 5,
    "items_as": "text",
}  # fmt: skip


def network_of(seed: int = 0, width: int = WIDTH, n_items: int = 4, **values: Any) -> Any:
    vectors = np.ones((n_items, width), np.float32)
    return build_model(Settings(**(SMALL | values)), n_items, vectors, "cpu", seed)


TRACES: list[str] = []
"""What was run that must not be."""


class Config:
    """As RecBole's: an object in the file that would leave a trace if it were built."""

    def __init__(self) -> None:
        self.final_config_dict = {"learning_rate": 1e-3, "device": torch.device("cpu")}
        self.level = Level()

    def __setstate__(self, state: Any) -> None:
        TRACES.append("config")
        self.__dict__.update(state)


class Level:
    def __reduce__(self) -> Any:
        return leave_trace, ("level",)


class Entry:
    """A dict entry that would call something when it is built."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def leave_trace(name: str) -> None:
    TRACES.append(name)


@pytest.fixture(autouse=True)
def _no_traces() -> Any:
    TRACES.clear()
    yield
    assert TRACES == []


def released(network: Any, **more: Any) -> dict[str, Any]:
    """Return the content of a checkpoint as RecBole's trainer saves it."""
    optimiser = torch.optim.Adam(network.parameters())
    sum((weights**2).sum() for weights in network.parameters()).backward()
    optimiser.step()
    return {
        "config": Config(), "epoch": 299, "cur_step": 0, "best_valid_score": -torch.inf,
        "state_dict": network.state_dict(), "other_parameter": None,
        "optimizer": optimiser.state_dict(), **more,
    }  # fmt: skip


def written(folder: Path, content: Any, name: str = "UniSRec-FHCKM-300.pth") -> Path:
    path = folder / name
    torch.save(content, path)
    return path


def archive(path: Path, pickled: bytes, **records: bytes) -> Path:
    """Write a zip as torch.save does, of any pickle."""
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("a/data.pkl", pickled)
        for name, content in ({"byteorder": b"little"} | records).items():
            stream.writestr(f"a/{name.replace('_', '/')}", content)
    return path


def same(one: Any, other: Any) -> bool:
    states = part_state(one), part_state(other)
    assert states[0].keys() == states[1].keys()
    return all(torch.equal(states[0][key], states[1][key]) for key in states[0])


# ---- what fits -----------------------------------------------------------------------------------


def test_a_file_of_the_released_layout_is_copied_and_nothing_in_it_is_run(tmp_path: Path) -> None:
    source = network_of(seed=1)
    path = written(tmp_path, released(source))
    network = network_of(seed=2)
    assert not same(source, network)
    report = load_released(path, network, "unisrec")
    assert same(source, network)
    assert report == [
        "tensors used of UniSRec-FHCKM-300.pth: position_embedding (1), trm_encoder (32), "
        "LayerNorm (2), moe_adaptor (8)",
        "not used: best_valid_score, config, cur_step, epoch, optimizer, other_parameter",
    ]
    # the test's own traps do spring where a file is trusted
    torch.load(path, weights_only=False)
    assert sorted(TRACES) == ["config", "level"]
    TRACES.clear()


def test_the_keys_are_those_of_the_authors(tmp_path: Path) -> None:
    state = part_state(network_of())
    layer = [
        *(f"multi_head_attention.{name}" for name in ("query", "key", "value", "dense")),
        "multi_head_attention.LayerNorm", "feed_forward.dense_1", "feed_forward.dense_2",
        "feed_forward.LayerNorm",
    ]  # fmt: skip
    both = [*(f"trm_encoder.layer.{n}.{name}" for n in (0, 1) for name in layer), "LayerNorm"]
    experts = [
        f"moe_adaptor.experts.{n}.{name}" for n in range(3) for name in ("bias", "lin.weight")
    ]
    assert set(state) == {
        "position_embedding.weight", "moe_adaptor.w_gate", "moe_adaptor.w_noise", *experts,
        *(f"{name}.{kind}" for name in both for kind in ("weight", "bias")),
    }  # fmt: skip


def test_other_formats_give_the_same(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source = network_of(seed=1)
    state = source.state_dict()
    plain = written(tmp_path, state, "plain.pth")
    save_file(state, tmp_path / "some.safetensors")
    parameters = written(tmp_path, dict(source.named_parameters()), "parameters.pth")
    newer = tmp_path / "newer.pth"
    torch.save(released(network_of(seed=1)), newer, pickle_protocol=4)
    for path in (plain, tmp_path / "some.safetensors", parameters):
        network = network_of(seed=2)
        assert len(load_released(str(path), network)) == 1
        assert same(source, network), path
    network = network_of(seed=2)
    load_released(newer, network)
    assert torch.isfinite(network.LayerNorm.weight).all()


@pytest.mark.parametrize("kind", ["float64", "float16", "bfloat16"])
def test_numbers_of_other_kinds_are_converted(tmp_path: Path, kind: str) -> None:
    source = network_of(seed=1)
    state = {key: tensor.to(getattr(torch, kind)) for key, tensor in source.state_dict().items()}
    network = network_of(seed=2)
    load_released(written(tmp_path, state), network)
    expected = source.load_state_dict({k: v.float() for k, v in state.items()})
    assert not expected.missing_keys
    assert same(source, network)
    assert network.LayerNorm.weight.dtype == torch.float32


def test_views_and_shared_storages_are_read(tmp_path: Path) -> None:
    flat = torch.arange(24.0)
    saved = {
        "a": flat[3:9].view(2, 3), "b": flat.view(4, 6).T, "c": torch.tensor(5.0), "n": None,
        "d": torch.zeros(0), "e": torch.zeros(3, 0), "f": torch.arange(3), "g": torch.ones(1, 1),
    }  # fmt: skip
    with opened(written(tmp_path, saved), "file") as found:
        content = found.unpickled()
        assert content["n"] is None
        for key, expected in saved.items():
            if expected is not None:
                tensor = found.tensor(content[key])
                assert torch.equal(tensor, expected), key
                assert tensor.dtype == expected.dtype


def test_item_embeddings_in_a_file_are_left_there(tmp_path: Path) -> None:
    source = network_of(seed=1, n_items=9, items_as="id-text")
    network = network_of(seed=2, items_as="id-text")
    before = network.item_embedding.weight.clone()
    report = load_released(written(tmp_path, source.state_dict()), network)
    assert report[1:] == ["item embeddings of the file are not used: item_embedding.weight"]
    assert torch.equal(before, network.item_embedding.weight)
    assert same(source, network)


def test_keys_of_a_file_are_shown_on_one_short_line(tmp_path: Path) -> None:
    content = {"a\nb\x1b[2J": 1, "c" * 500: 2, "state_dict": network_of(seed=1).state_dict()}
    _, line = load_released(written(tmp_path, content), network_of())
    assert line == f"not used: 'a\\nb\\x1b[2J', '{'c' * 100}'"


# ---- what does not fit ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"width": 20}, r"moe_adaptor\.w_gate: expected \[12, 3\], found \[20, 3\].*set "
                        r"unisrec\.encoder to one whose vectors are 20 wide \(now 12\)$"),
        ({"max_history": 7}, r"position_embedding\.weight: expected \[5, 8\], found \[7, 8\]; set "
                             r"unisrec\.max_history to 7 \(now 5\)$"),
        ({"hidden_size": 10}, r"expected \[5, 8\], found \[5, 10\].*more; set "
                              r"unisrec\.hidden_size to 10 \(now 8\)$"),
        ({"inner_size": 32}, r"dense_1\.weight: expected \[16, 8\], found \[32, 8\].*set "
                             r"unisrec\.inner_size to 32 \(now 16\)$"),
        ({"n_layers": 3}, r"keys that the network lacks: trm_encoder\.layer\.2.*set "
                          r"unisrec\.n_layers to 3 \(now 2\)$"),
        ({"n_layers": 1}, r"16 of 43 expected keys are missing: trm_encoder\.layer\.1.*set "
                          r"unisrec\.n_layers to 1 \(now 2\)$"),
        ({"n_experts": 5}, r"lacks: moe_adaptor\.experts\.3.*set unisrec\.n_experts to 5 "
                           r"\(now 3\)$"),
        ({"width": 20, "max_history": 7}, r"max_history to 7 \(now 5\) and set unisrec\.encoder"),
    ],
)  # fmt: skip
def test_another_network_is_refused_with_the_setting_to_change(tmp_path, file, message) -> None:
    path = written(tmp_path, released(network_of(seed=1, **file)))
    network, untouched = network_of(seed=2), network_of(seed=2)
    with pytest.raises(DataError, match=message) as raised:
        load_released(path, network, "unisrec")
    assert str(path) in str(raised.value)
    assert same(network, untouched)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "43 of 43 expected keys are missing: position_embedding.weight.* none of them"),
        ([1, 2], "holds a list, not tensors by key"),
        (torch.ones(3), "holds a Stored, not tensors by key|holds a Tensor, not tensors by key"),
        ({"state_dict": Config()}, "43 of 43 expected keys are missing"),
        (Config(), "not tensors by key"),
        ({1: torch.ones(2)}, "not tensors by key"),
        ({"LayerNorm.weight": Config()}, "LayerNorm.weight is no tensor"),
        ({"state_dict": {"LayerNorm.bias": "x"}}, "LayerNorm.bias is no tensor"),
    ],
)
def test_files_without_a_network_are_refused(tmp_path, content, message) -> None:
    with pytest.raises(DataError, match=message):
        load_released(written(tmp_path, content), network_of())


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.tensor([1.0, torch.nan] + [0.0] * 6), "LayerNorm.bias holds values that are not"),
        (torch.ones(8, dtype=torch.int64), "LayerNorm.bias holds torch.int64, not floating-point"),
    ],
)
def test_values_that_are_no_weights_are_refused(tmp_path, tensor, message) -> None:
    network, untouched = network_of(seed=2), network_of(seed=2)
    state = network_of(seed=1).state_dict() | {"LayerNorm.bias": tensor}
    with pytest.raises(DataError, match=message):
        load_released(written(tmp_path, state), network)
    assert same(network, untouched)


def test_the_older_format_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(released(network_of()), path, _use_new_zipfile_serialization=False)
    with pytest.raises(DataError, match=r"before version 1\.6.*save its state_dict anew"):
        load_released(path, network_of())


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 and nothing"])
def test_damaged_files_are_refused(tmp_path, name, content) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"unisrec.checkpoint = '.*x"):
        load_released(tmp_path / name, network_of())


def test_a_file_cut_short_or_changed_is_refused(tmp_path: Path) -> None:
    source = network_of()
    path = written(tmp_path, released(source))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        load_released(path, network_of())
    weights = source.LayerNorm.weight.detach().numpy().tobytes()
    place = whole.index(weights)
    path.write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
    with pytest.raises(DataError, match=r"cannot be read.*CRC"):
        load_released(path, network_of())


def test_an_identity_is_the_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    assert identity(first) == identity(str(second))
    second.write_bytes(b"other")
    assert identity(first) != identity(second)
    with pytest.raises(UsageError, match=r"unisrec\.checkpoint = .*c\.pth': no such file"):
        identity(tmp_path / "c.pth")
    with pytest.raises(UsageError, match="no such file"):
        identity(tmp_path)


# ---- what is hostile -----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["beside", "among", "instead"])
@pytest.mark.parametrize(
    "function",
    [os.system, builtins.eval, builtins.exec, builtins.getattr, builtins.__import__,
     subprocess.Popen, leave_trace, pickle.loads, io.open],
)  # fmt: skip
def test_nothing_that_a_pickle_names_is_called(tmp_path, monkeypatch, where, function) -> None:
    monkeypatch.chdir(tmp_path)
    entry = Entry(function, f"open({str(tmp_path / 'trace')!r}, 'w')")
    source = network_of(seed=1)
    content = released(source)
    if where == "beside":
        content["config"] = entry
    elif where == "among":
        content["state_dict"] = OrderedDict(content["state_dict"], other=entry)
    else:
        content["state_dict"] = OrderedDict(content["state_dict"]) | {"LayerNorm.bias": entry}
    path, network = written(tmp_path, content), network_of(seed=2)
    if where == "instead":
        with pytest.raises(DataError, match=r"LayerNorm\.bias is no tensor"):
            load_released(path, network)
    else:
        load_released(path, network)
        assert same(source, network)
    assert sorted(found.name for found in tmp_path.iterdir()) == [path.name]


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


OS, TENSOR, ORDERED = (
    named("os", "system"), named("torch._utils", "_rebuild_tensor_v2"),
    named("collections", "OrderedDict"),
)  # fmt: skip
CODE = b"X\x04\x00\x00\x00code"


@pytest.mark.parametrize(
    "pickled",
    [
        OS + b"(X\x04\x00\x00\x00codetR.",  # called
        OS + b"(X\x04\x00\x00\x00codet\x81.",  # made as an object
        OS + b")}\x92.",  # with names of arguments
        OS + b"}X\x01\x00\x00\x00aK\x01sb.",  # given a state
        OS + b")R}X\x01\x00\x00\x00aK\x01sb.",  # its object given a state
        OS + b")R(K\x01K\x02u.",  # items set
        OS + b")R(K\x01K\x02e.",  # values appended
        OS + b")R(K\x01\x90.",  # values added
        OS + b")R)R.",  # the object called
        b"(X\x04\x00\x00\x00code" + b"ios\nsystem\n.",  # an old operation
        b"(" + OS + CODE + b"o.",  # another
        b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93" + CODE + b"\x85R.",  # names from a stack
        named("builtins", "getattr") + b"(" + OS + b"X\x08\x00\x00\x00__call__tR.",
        named("methods.unisrec.safe_pickle", "Archive") + b")R.",
        named("torch", "load") + CODE + b"\x85R.",
        named("torch", "FloatStorage") + b")R.",  # a tag is called
        ORDERED + b"}b.",
        ORDERED + b")R}X\x05\x00\x00\x00itemsK\x01sb.",
        TENSOR + b"}X\x08\x00\x00\x00__call__K\x01sb.",
        TENSOR + b"N}X\x0c\x00\x00\x00__defaults__K\x01s\x86b.",
        TENSOR + b")R.",
        TENSOR + b"(NK\x00))\x89NtR.",
        b"X\x01\x00\x00\x00xQ.",  # a reference to anything
        b"P0\n.",
        b"\x82\x01.",  # of the registry
        b"r\xff\xff\xff\x7f.",  # numbered beyond memory
        b"Np99999999999\n.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x00.",  # bytes that are not there
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x00.",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\x00N.",
        b"N" + b"\x85" * 10_000 + b".",  # deep
        b"}N" + b"\x85" * 3_000_000 + b"K\x01s.",  # deeper than a hash can go
        b"(" * 1000 + b".",
        b"0.", b"h\x05.", b"", b"\x80\xff.", b"R.", b"b.",
    ],
)  # fmt: skip
def test_a_hostile_pickle_gives_nothing_but_an_error_or_inert_objects(tmp_path, pickled) -> None:
    path = archive(tmp_path / "x.pth", b"\x80\x02" + pickled if pickled[:1] != b"\x80" else pickled)
    with pytest.raises(DataError, match=r"unisrec\.checkpoint"):
        load_released(path, network_of())
    try:
        with opened(path, "file") as found:
            content = found.unpickled()
    except DataError:
        return
    while isinstance(content, tuple) and content:
        (content,) = content
    assert content is Inert or content is None or type(content).__name__ in {
        "Inert", "Entries", "_RebuildTensor",
    }  # fmt: skip


def test_a_hostile_pickle_leaves_this_reader_as_it_was(tmp_path: Path) -> None:
    """States given to what stands for torch's functions must not stay for the next file."""
    source = network_of(seed=1)
    for pickled in (TENSOR + b"}X\x01\x00\x00\x00aK\x01sb.", OS + b"}X\x01\x00\x00\x00aK\x01sb."):
        with opened(archive(tmp_path / "x.pth", b"\x80\x02" + pickled), "file") as found:
            assert not hasattr(found.unpickled(), "a")
    network = network_of(seed=2)
    load_released(written(tmp_path, released(source)), network)
    assert same(source, network)


def tensor_pickle(
    shape: Any = (2,), strides: Any = (1,), offset: Any = 0, key: Any = "0", n_numbers: Any = 4,
    kind: bytes = named("torch", "FloatStorage"),
) -> bytes:  # fmt: skip
    """Return a pickle of one tensor, with whatever is given in its description."""

    def plain(value: Any) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    storage = plain("storage") + kind + plain(key) + plain("cpu") + plain(n_numbers)
    arguments = b"(" + storage + b"tQ" + plain(offset) + plain(shape) + plain(strides)
    return b"\x80\x02" + TENSOR + b"(" + arguments + b"\x89}tR."


NUMBERS = struct.pack("<4f", 1, 2, 3, 4)


def test_a_tensor_written_by_hand_is_read(tmp_path: Path) -> None:
    with opened(archive(tmp_path / "x", tensor_pickle(), data_0=NUMBERS), "file") as found:
        stored = found.unpickled()
        assert isinstance(stored, Stored)
        assert found.tensor(stored).tolist() == [1, 2]
        with pytest.raises(AttributeError):
            stored.offset = 2


@pytest.mark.parametrize(
    "values",
    [
        {"shape": (5,)}, {"shape": (2, 2), "strides": (3, 1)}, {"offset": 3}, {"offset": -1},
        {"shape": (-2,)}, {"strides": (-1,)}, {"shape": (10**12,), "strides": (0,)},
        {"shape": (3, 3), "strides": (0, 0)}, {"shape": (2, 1)}, {"shape": "ab"}, {"shape": 2},
        {"shape": (2.0,)}, {"shape": (True,)}, {"offset": "0"}, {"offset": None},
        {"shape": (1,) * 70, "strides": (1,) * 70}, {"shape": (2**70, 0), "strides": (1, 1)},
        {"n_numbers": 5}, {"n_numbers": 3}, {"n_numbers": -4}, {"n_numbers": 10**30},
        {"n_numbers": 4.0}, {"n_numbers": None}, {"key": "1"}, {"key": "../data.pkl"},
        {"key": "/etc/passwd"}, {"key": 0}, {"key": "٠"}, {"key": ""},
        {"kind": named("torch", "DoubleStorage")}, {"kind": named("os", "system")},
        {"kind": named("torch", "QInt8Storage")}, {"kind": b"X\x02\x00\x00\x00os"},
    ],
)  # fmt: skip
def test_a_tensor_lies_within_its_record(tmp_path, values) -> None:
    path = archive(tmp_path / "x.pth", tensor_pickle(**values), data_0=NUMBERS)
    with pytest.raises(DataError, match="file cannot be read"), opened(path, "file") as found:
        found.unpickled()


def test_numbers_in_another_byte_order_are_refused(tmp_path, monkeypatch) -> None:
    path = archive(tmp_path / "x.pth", tensor_pickle(), data_0=NUMBERS, byteorder=b"big")
    with pytest.raises(DataError, match="byte order 'big'"), opened(path, "file"):
        pass
    path = archive(tmp_path / "y.pth", tensor_pickle(), data_0=NUMBERS)
    monkeypatch.setattr(sys, "byteorder", "big")
    with pytest.raises(DataError, match="this machine's is 'big'"), opened(path, "file"):
        pass


def test_files_without_a_byte_order_are_little(tmp_path: Path) -> None:
    """Torch wrote none before version 2.1, from which the released checkpoint is."""
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as stream:
        stream.writestr("archive/data.pkl", tensor_pickle())
        stream.writestr("archive/data/0", NUMBERS)
        stream.writestr("archive/version", b"3\n")
    with opened(tmp_path / "x.pth", "file") as found:
        assert found.tensor(found.unpickled()).tolist() == [1, 2]


def zipped(path: Path, *records: tuple[str, bytes], packed: bool = False) -> Path:
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as stream:
        for name, content in records:
            stream.writestr(name, content)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zips_that_torch_does_not_write_are_refused(tmp_path: Path) -> None:
    fine = ("a/data.pkl", tensor_pickle()), ("a/data/0", NUMBERS)
    for message, path in [
        ("is packed or encrypted", zipped(tmp_path / "1", *fine, packed=True)),
        ("is packed", zipped(tmp_path / "2", ("a/data.pkl", b"N" * 10**7), packed=True)),
        ("is there twice", zipped(tmp_path / "3", *fine, fine[1])),
        ("holds 0 records", zipped(tmp_path / "4", fine[1])),
        ("holds 2 records", zipped(tmp_path / "5", *fine, ("b/data.pkl", b"N."))),
        ("holds 1 records", zipped(tmp_path / "6", ("data.pkl", b"N."))),
        ("holds 1 records", zipped(tmp_path / "7", ("a/../data.pkl", b"N."))),
        ("has no bytes", zipped(tmp_path / "8", fine[0], ("../a/data/0", NUMBERS))),
    ]:
        with pytest.raises(DataError, match=message), opened(path, "file") as found:
            found.unpickled()
    assert sorted(found.name for found in tmp_path.iterdir()) == list("12345678")


def test_records_that_overlap_are_refused(tmp_path: Path) -> None:
    """A thousand entries for the same bytes would unfold to a thousand times the file."""
    path = zipped(tmp_path / "x", ("a/data.pkl", b"N."), *(
        (f"a/data/{n}", b"\0" * (100_000 if n == 0 else 0)) for n in range(50)
    ))  # fmt: skip
    content = bytearray(path.read_bytes())
    entries, place = [], 0
    while (place := content.find(b"PK\x01\x02", place)) >= 0:
        entries.append(place)
        place += 1
    first = content[entries[1] : entries[2]]
    for entry in entries[2:]:
        content[entry + 16 : entry + 28] = first[16:28]  # checksum and sizes
        content[entry + 42 : entry + 46] = first[42:46]  # where it is
    path.write_bytes(content)
    with pytest.raises(DataError, match="more than the file"), opened(path, "file"):
        pass


def test_all_parts_are_in_the_network() -> None:
    assert {key.partition(".")[0] for key in part_state(network_of(items_as="id-text"))} == {*PARTS}
