#!/usr/bin/python3
"""A semi-sync replica of a MySQL or MariaDB server that takes the log and never answers: commits
wait for it, in the log and on their way to everybody else, but not visible, for as long as the
server's semi-sync timeout.

    silent_replica.py run --port PORT      one JSON line once it is attached; ends when stdin closes
"""
import argparse
import json
import struct
import sys

import pymysql

COM_BINLOG_DUMP = 0x12
SERVER_ID = 7999


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run"])
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    connection = pymysql.connect(host="127.0.0.1", port=arguments.port, user="root", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("select version()")
        mariadb = "MariaDB" in cursor.fetchone()[0]
        cursor.execute("show master status" if mariadb else "show binary log status")
        file, position = cursor.fetchone()[:2]
        cursor.execute("set @master_binlog_checksum = @@global.binlog_checksum, @mariadb_slave_capability = 4, "
                       "@rpl_semi_sync_slave = 1, @rpl_semi_sync_replica = 1")
    connection._execute_command(COM_BINLOG_DUMP, struct.pack("<IHI", position, 0, SERVER_ID) + file.encode())
    connection._read_bytes(4)  # the first packet: it is attached
    print(json.dumps({"state": "ready"}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
