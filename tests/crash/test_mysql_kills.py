"""kill -9, again and again, against a real MariaDB and a real MySQL with a writer that never stops."""
import os

import pytest

from tests.conftest import start_mysql
from tests.servers.mysql import FLAVOURS
from tests.support.kills import survive_kills, survive_kills_while_copying

KILLS = int(os.environ.get("TW_MYSQL_KILLS", "100"))
SNAPSHOT_KILLS = int(os.environ.get("TW_MYSQL_SNAPSHOT_KILLS", "20"))
SEED = int(os.environ.get("TW_SEED", "1"))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_id_once_and_every_copy_equal_after_100_kills(flavour, tmp_path):
    with start_mysql(flavour) as server:
        survive_kills(server, tmp_path, KILLS, SEED)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_snapshot_survives_kills_and_repeats_little(flavour, tmp_path):
    with start_mysql(flavour) as server:
        survive_kills_while_copying(server, tmp_path, SNAPSHOT_KILLS, SEED, rows=60_000)
