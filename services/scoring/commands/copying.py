"""Many rows at once into PostgreSQL: COPY within the transaction that is open."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from shared.db import Tx

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

# The binary format of COPY: head of the file, rows of (number of fields, fields), end.
_BEGIN: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END: Final = b"\xff\xff"
_BIGINT: Final = np.dtype([("size", ">i4"), ("value", ">i8")])
# And its text format.
_ESCAPES: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SPECIAL: Final = re.compile(r"[\\\t\n\r]")
_AS_TEXT: Final[dict[type, Callable[[Any], str]]] = {
    type(None): lambda _: "\\N", bool: str, int: str, date: str, datetime: str,
    bytes: lambda value: f"\\\\x{value.hex()}",
}  # fmt: skip

# What is copied is few of all: its partners are read by their keys, whatever the size of the batch.
BY_KEY = text("set local random_page_cost = 1.1")


class Texts(NamedTuple):
    """A column of texts: where each begins in `data` (UTF-8), and how long it is."""

    data: bytes
    begins: Ints
    lengths: Ints

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> "Texts":
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        return cls(b"".join(texts), np.cumsum(lengths) - lengths, lengths)

    def taken(self, rows: NDArray[Any]) -> "Texts":
        """Of these rows, by place or by mask; one may be taken more than once."""
        return Texts(self.data, self.begins[rows], self.lengths[rows])


def copy_rows(tx: Tx, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Appends rows of texts, whole numbers, truths, days, instants, bytes and None, written in one
    piece: the driver looks for each value's type anew. Names are ours, never from outside."""
    with _cursor(tx) as cursor, cursor.copy(_statement(table, columns)) as copy:
        copy.write("".join(map(_line, rows)))


def _line(row: Sequence[object]) -> str:
    """As the text format of COPY has it. Raises KeyError for a type that nobody has thought of."""
    texts = [value if type(value) is str else _AS_TEXT[type(value)](value) for value in row]
    if _SPECIAL.search("".join([value for value in row if type(value) is str])):
        texts = [
            _SPECIAL.sub(_escaped, value) if type(value) is str else told
            for value, told in zip(row, texts, strict=True)
        ]
    return "\t".join(texts) + "\n"


def _escaped(found: re.Match[str]) -> str:
    return _ESCAPES[found[0]]


def copy_columns(
    tx: Tx, table: str, columns: Sequence[str], texts: Sequence[Texts], bigints: Ints
) -> None:
    """Appends rows whose first columns are texts and whose others are bigints, made in one piece:
    a call for each field would cost more than the rest of a fold."""
    if not len(bigints):
        return  # customers who have only opened an account have no figures, and the reverse
    statement = f"{_statement(table, columns)} (format binary)"
    with _cursor(tx) as cursor, cursor.copy(statement) as copy:
        copy.write(_BEGIN)
        for block in _blocks(texts, bigints):
            copy.write(block.data)
        copy.write(_END)


def _blocks(texts: Sequence[Texts], bigints: Ints) -> Iterator[Bytes]:
    """The rows as bytes, those whose texts have the same lengths together: numbers of customers,
    accounts and products have few."""
    fields = np.empty(bigints.shape, _BIGINT)
    fields["size"], fields["value"] = 8, bigints
    values = fields.view(np.uint8).reshape(len(bigints), -1)
    shape = np.zeros(len(bigints), np.int64)
    for _, _, lengths in texts:
        shape = np.unique(shape * (lengths.max() + 1) + lengths, return_inverse=True)[1]
    ends = np.cumsum(np.bincount(shape))
    for rows in np.split(np.argsort(shape, kind="stable"), ends[:-1]):
        pieces = [_same(len(rows), len(texts) + bigints.shape[1], ">i2")]
        for data, begins, lengths in texts:
            length = int(lengths[rows[0]])
            places = begins[rows][:, None] + np.arange(length)
            pieces += [_same(len(rows), length, ">i4"), np.frombuffer(data, np.uint8)[places]]
        yield np.hstack([*pieces, values[rows]])


def _same(rows: int, value: int, kind: str) -> Bytes:
    """A column of the same number."""
    return np.full((rows, 1), value, kind).view(np.uint8)


def as_array(values: Iterable[str]) -> str:
    """These texts, sorted, as PostgreSQL writes an array: for `cast(:values as text[])`. A list of
    ten thousand costs the driver a regular expression for each."""
    ordered = sorted(values)
    joined = '","'.join(ordered)
    if joined.count('"') > 2 * max(len(ordered) - 1, 0) or "\\" in joined:
        told = (value.replace("\\", "\\\\").replace('"', '\\"') for value in ordered)
        joined = '","'.join(told)
    return f'{{"{joined}"}}' if ordered else "{}"


def _statement(table: str, columns: Sequence[str]) -> str:
    return f"copy {table} ({', '.join(columns)}) from stdin"


def _cursor(tx: Tx) -> Any:
    connection = tx.session.connection().connection.driver_connection
    assert connection is not None
    return connection.cursor()


def staged(tx: Tx, table: str, definition: str) -> None:
    """A temporary table of this session, empty at the beginning of each transaction."""
    tx.session.execute(
        text(f"create temp table if not exists {table} ({definition}) on commit delete rows")
    )


def texts_first(columns: Sequence[str], texts: int) -> str:
    """The definition of such a table: texts, then bigints."""
    types = ["text"] * texts + ["bigint"] * (len(columns) - texts)
    return ", ".join(f"{name} {kind}" for name, kind in zip(columns, types, strict=True))
