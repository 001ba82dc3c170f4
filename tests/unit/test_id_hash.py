"""The compiled hash of an identity against the library's: rows keep what either gave."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from services.scoring import id_hash
from services.scoring.scanning import FOUND_WORDS, ID, ID_END, SOURCE, words


def hashed(prefix: str, parts: list[bytes]) -> list[int]:
    letters, spans = words(["another", prefix])
    ends = np.cumsum([len(part) for part in parts]) + 1
    begins = ends - [len(part) for part in parts]
    found = np.zeros(len(parts), np.uint64)
    text = np.frombuffer(b"x" + b"".join(parts), np.uint8)
    events = np.zeros((len(parts), FOUND_WORDS), np.int64)
    events[:, SOURCE], events[:, ID], events[:, ID_END] = 1, begins, ends
    whole = np.empty(id_hash.BYTES_MAX, np.uint8)
    id_hash.hashes(text, events, letters, spans, whole, found)
    return [int(one) for one in found]


@pytest.mark.parametrize("prefix", ["", "a", "核心\0"])
def test_every_length_is_hashed_as_the_library_does(prefix: str) -> None:
    begin = prefix.encode()
    every = bytes((7 * n * n + n) % 251 for n in range(id_hash.BYTES_MAX))
    parts = [every[:n] for n in range(1, id_hash.BYTES_MAX - len(begin) + 1)]
    assert hashed(prefix, parts) == [xxh3_64_intdigest(begin + part) for part in parts]


@given(st.lists(st.binary(min_size=1, max_size=230), min_size=1, max_size=5))
def test_whatever_is_hashed_it_is_the_librarys(parts: list[bytes]) -> None:
    assert hashed("core\0", parts) == [xxh3_64_intdigest(b"core\0" + part) for part in parts]
