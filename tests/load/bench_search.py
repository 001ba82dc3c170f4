"""Search at 1,000,000 parties: p50 and p99 by length of the query and by the reader's scope.

    GUANXI_DATABASE=postgresql+psycopg://... python -m tests.load.bench_search [PARTIES]

Without an address it starts the embedded servers. Every answer is checked against the names.
"""

import random
import sys
import time
import uuid
from collections.abc import Iterator

from sqlalchemy import Connection, create_engine, make_url, text

from services.customer.queries.search import search
from services.customer.rules.names import fold, parts
from services.customer.settings import keyring
from shared.db import Database
from shared.migrations import migrate
from shared.reach import Reach
from shared.settings import Settings
from tests.load.full_servers import full_servers

SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于"
GIVEN = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 2400))
CITIES = ("上海", "北京", "深圳", "广州", "杭州", "南京", "苏州", "成都", "武汉", "西安")
TRADES = ("科技", "贸易", "实业", "建材", "机械", "电子", "食品", "物流", "能源", "信息")
BRANCHES = 100
MANAGERS_PER_BRANCH = 30
TRIES = 400


def names(count: int) -> Iterator[str]:
    """Chinese names with the frequencies of real ones: few surnames cover most people."""
    rng = random.Random(2026)
    surname_weights = [1 / (n + 3) for n in range(len(SURNAMES))]
    weights = [1 / (n + 3) for n in range(len(GIVEN))]
    given = rng.choices(GIVEN, weights, k=4 * count)
    surnames = rng.choices(SURNAMES, surname_weights, k=count)
    for n in range(count):
        two = "".join(given[4 * n : 4 * n + 2])
        if n % 10 == 0:
            yield rng.choice(CITIES) + two + rng.choice(TRADES) + "有限公司"
        else:
            yield surnames[n] + two[: 1 + n % 3 % 2]


def fill(connection: Connection, made: list[str]) -> None:
    """COPY: parties, their parts, their phones."""
    cursor = connection.connection.cursor()
    with cursor.copy(
        "copy parties (party_id, customer_number, root_id, name, folded, kind, branch_code,"
        " manager_code) from stdin"
    ) as copy:
        for n, name in enumerate(made):
            party_id, branch = f"PC{n:08d}", n % BRANCHES
            manager = f"RM-{branch:03d}-{n // BRANCHES % MANAGERS_PER_BRANCH}"
            copy.write_row(
                (party_id, f"C{n:08d}", party_id, name, fold(name), "person", f"B{branch:03d}",
                 manager)
            )  # fmt: skip
    with cursor.copy("copy name_parts (inner_part, part, party_id, position) from stdin") as copy:
        for n, name in enumerate(made):
            for position, part in parts(fold(name)):
                copy.write_row((position > 0, part, f"PC{n:08d}", position))
    keys = keyring()
    with cursor.copy("copy blind_indexes (digest, party_id, kind) from stdin") as copy:
        for n in range(0, len(made), 10):
            copy.write_row((keys.blind_index("phone", phone(n)), f"PC{n:08d}", "phone"))
    connection.commit()


def phone(n: int) -> str:
    return f"138{n:08d}"


def measure(database: Database, label: str, queries: list[str], reach: Reach) -> None:
    times, hits = [], 0
    for query in queries:
        with database.read() as session:
            began = time.perf_counter()
            found = search(session, query, reach, keyring())
            times.append(time.perf_counter() - began)
        hits += len(found.hits)
        for hit in found.hits:
            if hit.by == "name":
                assert query in (hit.name or ""), (query, hit)
    assert hits > 0 or "nobody" in label
    times.sort()
    p50, p99 = times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3
    print(f"  {label:<38} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   max {times[-1] * 1e3:7.2f} ms")


def run(settings: Settings, count: int) -> None:
    migrate(settings)
    database = Database(settings)
    made = list(names(count))
    began = time.perf_counter()
    with database.engine.connect() as connection:
        connection.execute(text("set statement_timeout = 0"))
        connection.execute(text("set idle_in_transaction_session_timeout = 0"))
        fill(connection, made)
        connection.execute(text("analyze parties"))
        connection.execute(text("analyze name_parts"))
        size = connection.execute(
            text("select pg_size_pretty(pg_total_relation_size('name_parts')), count(*)"
                 " from name_parts")
        ).one()  # fmt: skip
        connection.commit()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("set statement_timeout = 0"))
        connection.execute(text("vacuum parties"))  # as autovacuum leaves it
        connection.execute(text("vacuum name_parts"))
    print(f"{count:,} parties in {time.perf_counter() - began:.0f} s; name_parts {size[0]},"
          f" {size[1]:,} rows")  # fmt: skip
    rng = random.Random(1)
    everything = Reach(everything=True)
    branch = Reach(False, frozenset(), frozenset({"B000"}))
    own = Reach(False, frozenset({"RM-000-0"}), frozenset())

    def pieces(length: int, step: int = 1) -> list[str]:
        chosen = (rng.choice(made[::step]) for _ in range(TRIES))
        return [name[(at := rng.randrange(max(1, len(name) - length + 1))) : at + length]
                for name in chosen]  # fmt: skip

    for label, reach, step in (
        ("whole bank", everything, 1),
        ("one branch", branch, BRANCHES),
        ("own customers", own, BRANCHES * MANAGERS_PER_BRANCH),
    ):
        for length in (1, 2, 3, 5):
            queries = pieces(length, step)
            measure(database, f"{label}, {length} characters", queries, reach)
        measure(database, f"{label}, nobody of that name", ["龘龘", "qzqzq"] * 100, reach)
    numbers = [f"C{rng.randrange(count):08d}" for _ in range(TRIES)]
    measure(database, "customer number", numbers, everything)
    phones = [phone(rng.randrange(0, count, 10)) for _ in range(TRIES)]
    measure(database, "phone", phones, everything)
    database.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    schema = f"bench_{uuid.uuid4().hex[:8]}"
    with full_servers() as found:
        settings = Settings(service="customer", database=found.database, db_schema=schema)
        try:
            run(settings, count)
        finally:
            engine = create_engine(make_url(found.database), isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text(f'drop schema if exists "{schema}" cascade'))


if __name__ == "__main__":
    main()
