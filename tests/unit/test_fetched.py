"""Fetched batches against aiokafka's own reader: the same records, the same position, the same
refusals; and nothing outside a batch is ever read."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import aiokafka.codec as codecs
import numpy as np
import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBase, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring import record_batch
from services.scoring.fetched import Fetched, FetchResult, PartitionRecords
from services.scoring.records import PLACE_WORDS, Record, Records, joined, laid_out
from services.scoring.share import Share

TP = TopicPartition("bank.events", 0)
THEIRS: Any = PartitionRecords.__mro__[1]  # another test may have installed ours
assert THEIRS.__module__ == fetcher.__name__
HEADER = DefaultRecordBase.HEADER_STRUCT
CONTROL, TRANSACTIONAL = DefaultRecordBase.CONTROL_MASK, DefaultRecordBase.TRANSACTIONAL_MASK
CODECS = [0, 1] + [
    n for n, has in ((2, codecs.has_snappy), (3, codecs.has_lz4), (4, codecs.has_zstd)) if has()
]

texts = st.one_of(st.none(), st.binary(max_size=20), st.binary(min_size=120, max_size=300))
headers = st.lists(st.tuples(st.text(max_size=3), texts), max_size=2)


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    """What a broker may answer: batches with gaps, of any codec, the last one perhaps cut off."""
    base, found = draw(st.integers(0, 2**40)), []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([0, 0, 0, TRANSACTIONAL, CONTROL | TRANSACTIONAL]))
        codec = 0 if kind & CONTROL else draw(st.sampled_from(CODECS))
        gaps = draw(st.lists(st.integers(1, 200), max_size=1 if kind & CONTROL else 6))
        places = np.cumsum([0, *gaps]).tolist()
        of_batch = [
            (place, b"\0\0\0\0" if kind & CONTROL else draw(texts), draw(texts), draw(headers))
            for place in places
        ]
        last = places[-1] + draw(st.integers(0, 3))  # compaction took the last ones
        if draw(st.integers(0, 9)) == 0 and not kind & CONTROL:
            of_batch = []  # and here all of them
        found.append(batch_of(base, of_batch, codec=codec, kind=kind, last=last))
        base += last + 1 + draw(st.integers(0, 5))
    whole = b"".join(found)
    cut = draw(st.sampled_from([0, 0, 0, len(found[-1]) // 2, len(found[-1]) - 3]))
    return whole[: len(whole) - cut]


def batch_of(
    base: int, records: list[Any], *, codec: int = 0, kind: int = 0, last: int | None = None
) -> bytes:
    """A batch as a broker keeps it."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, 7, 0, 0, 1 << 20)
    for place, key, value, head in records:
        assert builder.append(place, 1000 + place, key, value, head) is not None
    raw = bytes(builder.build())
    fields = list(HEADER.unpack_from(raw))
    fields[0] = base
    fields[5] |= kind
    fields[6] = last if last is not None else fields[6]
    return sealed(HEADER.pack(*fields) + raw[HEADER.size :])


def sealed(batch: bytes) -> bytes:
    """With the checksum of what it holds."""
    crc: int = calc_crc32c(batch[DefaultRecordBase.ATTRIBUTES_OFFSET :])
    at = DefaultRecordBase.CRC_OFFSET
    return batch[:at] + crc.to_bytes(4, "big") + batch[at + 4 :]


def theirs(text: bytes, begin: int, aborted: Any = None, level: int = 0) -> tuple[list[Any], int]:
    """aiokafka's own: the records, and the position after them."""
    records = THEIRS(TP, MemoryRecords(text), aborted, begin, None, None, True, level)
    return [Record(r.offset, r.key, r.value) for r in records], records.next_fetch_offset


def ours(
    text: bytes, begin: int, most: int | None = None, aborted: Any = None, level: int = 0
) -> tuple[list[Any], int]:
    """By polls of so many, through the position that aiokafka's fetcher checks."""
    records = PartitionRecords(TP, Fetched(text), aborted, begin, None, None, True, level)
    state = SimpleNamespace(paused=False, position=begin)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    polls = FetchResult(TP, assignment=assignment, partition_records=records, backoff=0)
    found: list[Any] = []
    while polls.has_more():
        taken = polls.getall(most)
        assert most is None or len(taken) <= most
        found += taken
    return found, state.position


@settings(max_examples=300, deadline=None)
@given(
    batches(), st.sampled_from([None, 1, 2, 5]), st.integers(0, 20), st.booleans(),
    st.lists(st.tuples(st.just(7), st.integers(0, 2**40)), max_size=2),
)  # fmt: skip
def test_the_same_records_and_the_same_position(
    text: bytes, most: int | None, later: int, committed: bool, aborted: list[Any]
) -> None:
    begin = HEADER.unpack_from(text)[0] + later if len(text) >= HEADER.size else 0
    level = int(committed)
    assert ours(text, begin, most, aborted, level) == theirs(text, begin, aborted, level)


MARKER = CONTROL | TRANSACTIONAL


def shares_of(text: bytes, begin: int, most: int | None) -> list[Share]:
    """What polls take where the transaction of producer 7 at the offset 100 was aborted."""
    records = PartitionRecords(TP, Fetched(text), [(7, 100)], begin, None, None, True, 1)
    found, is_all = [], False
    while not is_all:
        share, is_all = records.take(most)
        found.append(share)
    return found


@pytest.mark.parametrize("most", [None, 1, 2])
@pytest.mark.parametrize("begin", [100, 101, 103])
def test_shares_follow_on_each_other_and_account_for_markers(begin: int, most: int | None) -> None:
    line = (b"k", b"v", [])
    text = b"".join([
        batch_of(100, [(0, *line), (1, *line)], kind=TRANSACTIONAL),  # aborted
        batch_of(102, [(0, b"\0\0\0\0", b"", [])], kind=MARKER),
        batch_of(103, [(0, *line), (1, *line)], kind=TRANSACTIONAL),
        batch_of(105, [(0, b"\0\0\0\1", b"", [])], kind=MARKER),
        batch_of(108, [(0, *line)]),  # two are lost before it
        batch_of(109, [(0, b"\0\0\0\1", b"", [])], kind=MARKER),
    ])  # fmt: skip
    shares = shares_of(text, begin, most)
    assert [shares[0].begin, shares[-1].end] == [begin, 110]
    assert all(one.end == other.begin for one, other in pairwise(shares))
    assert [r.offset for share in shares for r in share] == [103, 104, 108]
    assert sum(share.accounted for share in shares) == 110 - begin - 2, "a hole is one"


def test_a_share_of_markers_alone_moves_the_position() -> None:
    text = batch_of(100, [(0, b"\0\0\0\0", b"", [])], kind=MARKER)
    (share,) = shares_of(text, 100, None)
    assert (bool(share), len(share), share.accounted, share.end) == (True, 0, 1, 101)
    assert not share.since(101)
    assert not shares_of(b"", 100, None)[0]


def test_a_marker_that_compaction_emptied_is_passed() -> None:
    """The broker keeps its batch while it knows the producer."""
    text = batch_of(100, [], kind=MARKER, last=0) + batch_of(101, [(0, b"k", b"v", [])])
    (share,) = shares_of(text, 100, None)
    assert ([r.offset for r in share], share.accounted, share.end) == ([101], 2, 102)


def test_of_a_share_what_was_read_before_is_left_out() -> None:
    line = (b"k", b"v", [])
    text = batch_of(100, [(0, *line), (1, *line), (2, *line)], kind=TRANSACTIONAL)  # aborted
    text += batch_of(103, [(0, *line)])
    (share,) = shares_of(text, 100, None)
    rest = share.since(102)
    assert (rest.begin, rest.end, rest.accounted, len(rest)) == (102, 104, 2, 1)


@pytest.mark.parametrize("magic", [0, 1])
def test_older_formats_are_read_by_aiokafka(magic: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, 0, 1 << 16)
    for offset in range(3):
        builder.append(offset, 1000, b"k%d" % offset, None if offset == 1 else b"v")
    text = bytes(builder.build())
    assert ours(text, 1, 1) == theirs(text, 1)
    assert [record.offset for record in ours(text, 1)[0]] == [1, 2]


def test_a_wrong_checksum_is_refused_as_aiokafka_does() -> None:
    text = bytearray(batch_of(5, [(0, b"k", b"v", [])]))
    text[-2] ^= 1
    for read in (ours, theirs):
        with pytest.raises(CorruptRecordException, match="Invalid CRC"):
            read(bytes(text), 5)


def test_an_unknown_codec_is_refused() -> None:
    text = batch_of(5, [(0, b"k", b"v", [])], kind=6)
    for read in (ours, theirs):
        with pytest.raises(UnsupportedCodecError):
            read(text, 5)


@pytest.mark.parametrize("count", [-5, 0, 2, 4, 2**31 - 1])
def test_a_count_that_is_not_that_of_the_records_is_corrupt(count: int) -> None:
    raw = batch_of(5, [(n, b"k", b"v", []) for n in range(3)])
    fields = list(HEADER.unpack_from(raw))
    fields[-1] = count
    text = sealed(HEADER.pack(*fields) + raw[HEADER.size :])
    for read in (ours, theirs):
        with pytest.raises(CorruptRecordException):
            read(text, 5)


def located(body: bytes, count: int) -> list[Record] | None:
    """What the kernel finds in a body that lies between other bytes; None: corrupt."""
    text = b"\xaa" * 9 + body + b"\x01" * 9
    found = Records(text, np.full((count, PLACE_WORDS), -9, np.int64))
    whole = record_batch.locate(found.letters(), 9, 9 + len(body), 100, found.places)
    if not whole:
        return None
    ends = found.places[:, 1:]
    assert ((ends == -1) | ((ends >= 9) & (ends <= 9 + len(body)))).all()
    return list(found)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(texts, texts, headers), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3),
    st.integers(0, 400),
)
def test_bytes_gone_wrong_are_never_read_beyond_their_batch(
    records: list[Any], wrong: list[tuple[int, int]], cut: int
) -> None:
    """Where aiokafka finds a whole batch we find the same one, unless its offsets do not rise."""
    raw = batch_of(100, [(n, *one) for n, one in enumerate(records)])
    body = bytearray(raw[HEADER.size :])
    for at, byte in wrong:
        body[at % len(body)] = byte
    kept = bytes(body[: len(body) - cut % len(body)] if wrong and cut % 3 == 0 else body)
    found = located(kept, len(records))
    fields = list(HEADER.unpack_from(raw[: HEADER.size]))
    fields[1] = HEADER.size - DefaultRecordBase.AFTER_LEN_OFFSET + len(kept)
    try:
        expected, _ = theirs(sealed(HEADER.pack(*fields) + kept), 0)
    except CorruptRecordException:
        assert found is None
    except UnicodeDecodeError:
        """A header's name: nobody reads it here."""
    else:
        rises = len(expected) == len(records) and expected[0].offset >= 100
        assert found == (expected if rises else None)


def test_any_truncation_is_noticed() -> None:
    body = batch_of(100, [(n, b"key", b"value", [("h", b"x")]) for n in range(3)])[HEADER.size :]
    assert located(body, 3) is not None
    assert [n for n in range(len(body)) if located(body[:n], 3) is not None] == []


def test_offsets_that_do_not_rise_are_corrupt() -> None:
    """A broker never writes them; taken as they are, a row would skip what comes after."""
    for places in ((1, 0), (1, 1)):
        body = batch_of(100, [(n, b"k", b"v", []) for n in places])[HEADER.size :]
        assert located(body, 2) is None


def test_records_are_cut_and_joined_where_they_lie() -> None:
    lines = [Record(n * 2, None if n == 1 else b"k%d" % n, None if n == 2 else b"v" * n)
             for n in range(6)]  # fmt: skip
    whole = laid_out(lines)
    assert list(whole) == lines
    assert (whole.first_offset, whole.offset, whole[3]) == (0, 10, lines[3])
    assert list(whole.since(3)) == lines[2:]
    assert len(whole.since(11)) == 0
    together = joined([whole[:2], whole[2:]])
    assert (list(together), together.text is whole.text) == (lines, True)
    apart = joined(laid_out(lines[begin:end]) for begin, end in pairwise([0, 1, 3, 3, 6]))
    assert list(apart) == lines
    part = joined([whole[1:3], laid_out(lines[3:])])
    assert (list(part), len(part.text)) == (lines[1:], len(whole.text) - 2), "no more than needed"
    assert list(joined([])) == []
