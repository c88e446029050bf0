"""A real streaming standby of a Postgres from tests/servers, made from a base backup."""
import os
import shutil
import tempfile

from tests.servers.postgres import PostgresServer


def copy_data(server, target):
    """The data folder of a server that is stopped or in backup mode, as a folder that a server can start from."""
    skip = {"postmaster.pid", "postmaster.opts"}
    shutil.copytree(server.data, target, symlinks=True, ignore=lambda folder, names: skip & set(names))
    own_by_server(server, target)


def own_by_server(server, folder):
    if not server._user:
        return
    for place, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(place, name), server._user.pw_uid, server._user.pw_gid)
    os.chmod(folder, 0o700)


def make_standby(primary, settings=None, slot="standby", sync_slots=False):
    """Not started yet. `slot`: the physical slot at the primary, made if need be; None: without one."""
    if slot and not primary.sql("select from pg_replication_slots where slot_name = %s", (slot,)):
        primary.sql("select pg_create_physical_replication_slot(%s, true)", (slot,))
    home = tempfile.mkdtemp(prefix="tailwater-standby-")
    os.chmod(home, 0o755)
    data = os.path.join(home, "data")
    start, stop = ("pg_backup_start", "pg_backup_stop") if primary.version >= 15 else ("pg_start_backup", "pg_stop_backup")
    with primary.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"select {start}('standby', true)" if primary.version >= 15 else f"select {start}('standby', true, false)")

        def unwanted(folder, names):
            if os.path.basename(folder) in ("pg_wal", "pg_replslot"):
                return names
            return {"postmaster.pid", "postmaster.opts"} & set(names)
        shutil.copytree(primary.data, data, symlinks=True, ignore=unwanted)
        cursor.execute(f"select labelfile from {stop}(false)")
        label = cursor.fetchone()[0]
    os.makedirs(os.path.join(data, "pg_wal/archive_status"), exist_ok=True)
    with open(os.path.join(data, "backup_label"), "w") as file:
        file.write(label)
    open(os.path.join(data, "standby.signal"), "w").close()
    own_by_server(primary, data)
    if primary._user:
        os.chown(home, primary._user.pw_uid, primary._user.pw_gid)
    more = {"primary_conninfo": f"host=127.0.0.1 port={primary.port} user=postgres dbname=postgres",
            "wal_retrieve_retry_interval": "100ms"}
    if slot:
        more["primary_slot_name"] = slot
    if sync_slots:
        more.update({"sync_replication_slots": "on", "hot_standby_feedback": "on"})
    standby = PostgresServer(primary.version, {**more, **(settings or {})}, data=data)
    standby.home = home
    return standby


def remove(standby):
    standby.stop("immediate")
    shutil.rmtree(standby.home, ignore_errors=True)
    shutil.rmtree(standby.root, ignore_errors=True)
