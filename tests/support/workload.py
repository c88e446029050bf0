"""A seeded random history on a real Postgres: keyed, composite, keyless and FULL tables, TOAST, key changes and swaps, deletes and
re-inserts, truncates, rollbacks, savepoints, transactions of some thousand rows. Deterministic per seed as far as one writer is."""
import random

SCHEMA = """
create table accounts (id int primary key, email text unique not null, note text, balance numeric(12,2) not null);
alter table accounts alter note set storage external;
create table seats (hall int, seat int, holder text, primary key (hall, seat));
create table visits (page text, visitor int);
alter table visits replica identity full;
create table settings (name text primary key, value text);
alter table settings replica identity full;
alter table settings alter value set storage external;
create table events (id bigint primary key, kind text not null, happened timestamptz not null default now());
"""
TABLES = ["public.accounts", "public.seats", "public.visits", "public.settings", "public.events"]
# What a copy must equal, per table: columns that read the same in Postgres (as text) and in the copy.
COLUMNS = {
    "accounts": ["id", "email", "note", "balance"],
    "seats": ["hall", "seat", "holder"],
    "visits": ["page", "visitor"],
    "settings": ["name", "value"],
    "events": ["id", "kind"],
}


class Workload:
    """`large`: rows of the occasional large transaction."""

    def __init__(self, connection, seed, large=3000):
        self.connection = connection
        self.random = random.Random(seed)
        self.cursor = connection.cursor()
        self.large = large
        self.next_event = 1
        self.transactions = 0

    def step(self):
        """One transaction, committed or rolled back."""
        r = self.random
        self.cursor.execute("begin")
        for _ in range(r.choice([1, 1, 2, 3, 8])):
            self._change()
        if r.random() < 0.02:
            self._large()
        if r.random() < 0.05:
            self.cursor.execute("rollback")
        else:
            self.cursor.execute("commit")
            self.transactions += 1

    def _change(self):
        r, run = self.random, self.cursor.execute
        pick = r.random()
        number = r.randrange(60)
        if pick < 0.22:
            run("insert into accounts values (%s, %s, %s, %s) on conflict do nothing",
                (number, f"user{r.randrange(60)}@example.com", self._text(), r.randrange(100000) / 100))
        elif pick < 0.40:
            run("update accounts set balance = balance + 1 where id = %s", (number,))  # leaves the TOAST value untouched
        elif pick < 0.45:
            run("update accounts set note = %s where id = %s", (r.choice([None, self._text()]), number))
        elif pick < 0.51:  # a key change, with the TOAST value untouched
            run("update accounts set id = %s where id = %s and not exists (select from accounts where id = %s)",
                (number + 1000, number, number + 1000))
        elif pick < 0.54:  # back again
            run("update accounts set id = id - 1000 where id = %s and not exists (select from accounts where id = %s)",
                (number + 1000, number))
        elif pick < 0.58:  # a swap through a temporary key
            a, b = number, (number + 7) % 60
            run("update accounts set id = -1 where id = %s", (a,))
            run("update accounts set id = %s where id = %s", (a, b))
            run("update accounts set id = %s where id = -1", (b,))
        elif pick < 0.64:  # a delete and a re-insert that needs the freed email
            run("delete from accounts where id = %s returning email", (number,))
            row = self.cursor.fetchone()
            if row and r.random() < 0.6:
                run("insert into accounts values (%s, %s, %s, 1) on conflict do nothing", (number + 2000, row[0], self._text()))
        elif pick < 0.74:
            run("insert into seats values (%s, %s, %s) on conflict (hall, seat) do update set holder = excluded.holder",
                (r.randrange(4), r.randrange(30), f"guest {number}"))
        elif pick < 0.76:
            run("delete from seats where hall = %s and seat < %s", (r.randrange(4), r.randrange(6)))
        elif pick < 0.84:
            run("insert into visits select %s, g %% 3 from generate_series(1, %s) g", (f"page {r.randrange(5)}", r.randrange(1, 6)))
        elif pick < 0.87:
            run("update visits set visitor = visitor + 1 where ctid in (select ctid from visits where page = %s limit 2)",
                (f"page {r.randrange(5)}",))
        elif pick < 0.89:
            run("delete from visits where ctid in (select ctid from visits where page = %s limit 3)", (f"page {r.randrange(5)}",))
        elif pick < 0.94:
            run("insert into settings values (%s, %s) on conflict (name) do update set name = excluded.name",
                (f"setting {r.randrange(20)}", self._text()))
        elif pick < 0.96:
            run("savepoint s")
            run("insert into settings values (%s, 'never seen') on conflict (name) do update set value = 'never seen'", (f"setting {number}",))
            run("rollback to s")
        elif pick < 0.99:
            run("insert into events (id, kind) values (%s, 'small')", (self.next_event,))
            self.next_event += 1
        else:
            run("truncate seats" if r.random() < 0.7 else "truncate visits, settings")

    def _large(self):
        self.cursor.execute("insert into events (id, kind) select g, 'large' from generate_series(%s, %s) g",
                            (self.next_event, self.next_event + self.large - 1))
        self.next_event += self.large

    def _text(self):
        r = self.random
        if r.random() < 0.4:
            return "".join(r.choice("abcdef é€😀\t\"'\\") for _ in range(3000))
        return f"short {r.randrange(1000)}"


def as_multiset(rows):
    counts = {}
    for row in rows:
        key = tuple(None if value is None else str(value) for value in row)
        counts[key] = counts.get(key, 0) + 1
    return counts


def source_rows(server, table):
    columns = ", ".join(f"{c}::text" for c in COLUMNS[table])
    return as_multiset(server.sql(f"select {columns} from {table}"))


def differences(expected, actual):
    """A short text that names what is missing and what is too much; empty if equal."""
    missing = [(row, n - actual.get(row, 0)) for row, n in expected.items() if n > actual.get(row, 0)]
    extra = [(row, n - expected.get(row, 0)) for row, n in actual.items() if n > expected.get(row, 0)]
    shorten = lambda rows: [(tuple(str(v)[:30] for v in row), n) for row, n in rows[:3]]
    return f"{len(missing)} missing {shorten(missing)}, {len(extra)} too much {shorten(extra)}" if missing or extra else ""
