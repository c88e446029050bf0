"""kill -9 again and again while tables are copied beside writers: at named crash points and at random moments."""
import os

from tests.conftest import start_server
from tests.support.kills import survive_kills_while_copying

KILLS = int(os.environ.get("TW_SNAPSHOT_KILLS", "40"))
SEED = int(os.environ.get("TW_SEED", "1"))


def test_a_snapshot_survives_kills_and_repeats_little(tmp_path):
    with start_server() as server:
        survive_kills_while_copying(server, tmp_path, KILLS, SEED, rows=150_000)
