"""kill -9, again and again, against a real Postgres with a writer that never stops."""
import os

from tests.conftest import start_server
from tests.support.kills import survive_kills

KILLS = int(os.environ.get("TW_KILLS", "200"))
SEED = int(os.environ.get("TW_SEED", "1"))


def test_each_id_once_and_every_copy_equal_after_200_kills(tmp_path):
    with start_server() as server:
        survive_kills(server, tmp_path, KILLS, SEED)
