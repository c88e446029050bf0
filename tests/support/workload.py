"""A seeded random history on a real database: keyed, composite, keyless and FULL tables, TOAST, key changes and swaps, deletes and
re-inserts, truncates, rollbacks, savepoints, transactions of some thousand rows. Deterministic per seed as far as one writer is.

The history is the same on every database; how a statement is written there, a dialect knows."""
import random

TABLES = ["public.accounts", "public.seats", "public.visits", "public.settings", "public.events"]
# What a copy must equal, per table: columns that read the same in the source (as text) and in the copy.
COLUMNS = {
    "accounts": ["id", "email", "note", "balance"],
    "seats": ["hall", "seat", "holder"],
    "visits": ["page", "visitor"],
    "settings": ["name", "value"],
    "events": ["id", "kind"],
}


class Postgres:
    schema = [
        "create table accounts (id int primary key, email text unique not null, note text, balance numeric(12,2) not null)",
        "alter table accounts alter note set storage external",
        "create table seats (hall int, seat int, holder text, primary key (hall, seat))",
        "create table visits (page text, visitor int)",
        "alter table visits replica identity full",
        "create table settings (name text primary key, value text)",
        "alter table settings replica identity full",
        "alter table settings alter value set storage external",
        "create table events (id bigint primary key, kind text not null, happened timestamptz not null default now())",
    ]
    insert_account = "insert into accounts values (%s, %s, %s, %s) on conflict do nothing"
    set_seat = "insert into seats values (%s, %s, %s) on conflict (hall, seat) do update set holder = excluded.holder"
    touch_setting = "insert into settings values (%s, %s) on conflict (name) do update set name = excluded.name"
    spoil_setting = "insert into settings values (%s, 'never seen') on conflict (name) do update set value = 'never seen'"
    raise_two_visits = "update visits set visitor = visitor + 1 where ctid in (select ctid from visits where page = %s limit 2)"
    hash_type, hash_of_g = "uuid", "md5(g::text)::uuid"
    delete_three_visits = "delete from visits where ctid in (select ctid from visits where page = %s limit 3)"

    @staticmethod
    def move_account(cursor, old, new):
        cursor.execute("update accounts set id = %s where id = %s and not exists (select from accounts where id = %s)", (new, old, new))

    @staticmethod
    def truncate(cursor, *tables):
        cursor.execute("truncate " + ", ".join(tables))

    @staticmethod
    def insert_events(cursor, first, last, kind):
        cursor.execute("insert into events (id, kind) select g, %s from generate_series(%s, %s) g", (kind, first, last))

    @staticmethod
    def insert_numbers(server, table, expressions, count):
        """A row of the expressions for each `g` from 1 to `count`."""
        server.sql(f"insert into {table} select {expressions} from generate_series(1, {count}) g")


class Mysql:
    schema = [
        "create table accounts (id int primary key, email varchar(200) unique not null, note text, balance decimal(12,2) not null)",
        "create table seats (hall int, seat int, holder varchar(200), primary key (hall, seat))",
        "create table visits (page varchar(200), visitor int)",
        "create table settings (name varchar(200) primary key, value text)",
        "create table events (id bigint primary key, kind varchar(20) not null, happened timestamp(6) not null default current_timestamp(6))",
    ]
    insert_account = "insert ignore into accounts values (%s, %s, %s, %s)"
    set_seat = "insert into seats values (%s, %s, %s) on duplicate key update holder = values(holder)"
    touch_setting = "replace into settings values (%s, %s)"
    spoil_setting = "insert into settings values (%s, 'never seen') on duplicate key update value = 'never seen'"
    raise_two_visits = "update visits set visitor = visitor + 1 where page = %s limit 2"
    hash_type, hash_of_g = "varchar(100)", "sha2(g, 256)"
    delete_three_visits = "delete from visits where page = %s limit 3"

    @staticmethod
    def move_account(cursor, old, new):
        cursor.execute("update ignore accounts set id = %s where id = %s", (new, old))

    @staticmethod
    def truncate(cursor, *tables):
        for table in tables:  # commits
            cursor.execute("truncate " + table)
        cursor.execute("begin")

    @staticmethod
    def insert_events(cursor, first, last, kind):
        cursor.executemany("insert into events (id, kind) values (%s, %s)", [(number, kind) for number in range(first, last + 1)])

    @staticmethod
    def insert_numbers(server, table, expressions, count):
        depth = "max_recursive_iterations" if server.is_mariadb else "cte_max_recursion_depth"
        server.sql([f"set session {depth} = 1000000000", f"insert into {table} with recursive numbers (g) as "
                    f"(select 1 union all select g + 1 from numbers where g < {count}) select {expressions} from numbers"])


DIALECTS = {"postgres": Postgres, "mysql": Mysql}
SCHEMA = ";\n".join(Postgres.schema) + ";\n"


def create_tables(server, database=None):
    for statement in DIALECTS[server.TYPE].schema:
        server.sql(statement, database=database or server.DATABASE)


class Workload:
    """`large`: rows of the occasional large transaction."""

    def __init__(self, connection, seed, large=3000):
        self.connection = connection
        self.dialect = Mysql if type(connection).__module__.startswith("pymysql") else Postgres
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
        r, run, dialect = self.random, self.cursor.execute, self.dialect
        pick = r.random()
        number = r.randrange(60)
        if pick < 0.22:
            run(dialect.insert_account, (number, f"user{r.randrange(60)}@example.com", self._text(), r.randrange(100000) / 100))
        elif pick < 0.40:
            run("update accounts set balance = balance + 1 where id = %s", (number,))  # leaves the TOAST value untouched
        elif pick < 0.45:
            run("update accounts set note = %s where id = %s", (r.choice([None, self._text()]), number))
        elif pick < 0.51:  # a key change, with the TOAST value untouched
            dialect.move_account(self.cursor, number, number + 1000)
        elif pick < 0.54:  # back again
            dialect.move_account(self.cursor, number + 1000, number)
        elif pick < 0.58:  # a swap through a temporary key
            a, b = number, (number + 7) % 60
            run("update accounts set id = -1 where id = %s", (a,))
            run("update accounts set id = %s where id = %s", (a, b))
            run("update accounts set id = %s where id = -1", (b,))
        elif pick < 0.64:  # a delete and a re-insert that needs the freed email
            run("select email from accounts where id = %s", (number,))
            row = self.cursor.fetchone()
            run("delete from accounts where id = %s", (number,))
            if row and r.random() < 0.6:
                run(dialect.insert_account, (number + 2000, row[0], self._text(), 1))
        elif pick < 0.74:
            run(dialect.set_seat, (r.randrange(4), r.randrange(30), f"guest {number}"))
        elif pick < 0.76:
            run("delete from seats where hall = %s and seat < %s", (r.randrange(4), r.randrange(6)))
        elif pick < 0.84:
            page = f"page {r.randrange(5)}"
            rows = [(page, g % 3) for g in range(1, r.randrange(1, 6) + 1)]
            run("insert into visits values " + ", ".join(["(%s, %s)"] * len(rows)), [value for row in rows for value in row])
        elif pick < 0.87:
            run(dialect.raise_two_visits, (f"page {r.randrange(5)}",))
        elif pick < 0.89:
            run(dialect.delete_three_visits, (f"page {r.randrange(5)}",))
        elif pick < 0.94:
            run(dialect.touch_setting, (f"setting {r.randrange(20)}", self._text()))
        elif pick < 0.96:
            run("savepoint s")
            run(dialect.spoil_setting, (f"setting {number}",))
            run("rollback to s")
        elif pick < 0.99:
            run("insert into events (id, kind) values (%s, 'small')", (self.next_event,))
            self.next_event += 1
        else:
            dialect.truncate(self.cursor, *(["seats"] if r.random() < 0.7 else ["visits", "settings"]))

    def _large(self):
        self.dialect.insert_events(self.cursor, self.next_event, self.next_event + self.large - 1, "large")
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


def source_rows(server, table, database=None):
    columns = ", ".join(map(server.as_text, COLUMNS[table]))
    return as_multiset(server.sql(f"select {columns} from {table}", database=database or server.DATABASE))


def differences(expected, actual):
    """A short text that names what is missing and what is too much; empty if equal."""
    missing = [(row, n - actual.get(row, 0)) for row, n in expected.items() if n > actual.get(row, 0)]
    extra = [(row, n - expected.get(row, 0)) for row, n in actual.items() if n > expected.get(row, 0)]
    shorten = lambda rows: [(tuple(str(v)[:30] for v in row), n) for row, n in rows[:3]]
    return f"{len(missing)} missing {shorten(missing)}, {len(extra)} too much {shorten(extra)}" if missing or extra else ""
