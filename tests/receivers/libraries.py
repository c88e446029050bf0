"""The published libraries that receivers verify with: `standardwebhooks` and `cloudevents`, from PyPI and npm.

Pinned, fetched on first use, kept in $TW_CACHE (default ~/.cache/tailwater). Raises with a reason where they cannot be had.
"""
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

from tests.servers.postgres import cache_dir

PYTHON = ["standardwebhooks==1.1.0", "cloudevents==2.2.0"]
NODE = ["standardwebhooks@1.1.1", "cloudevents@10.0.0"]


def fetched(name, pins, fetch):
    """The folder that holds exactly these pins."""
    home = pathlib.Path(cache_dir()) / "receivers"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / ("-".join([name, *pins]).replace("=", "").replace("@", ""))
    with open(home / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            scratch = home / f"{name}.new"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            result = fetch(scratch)
            if result.returncode != 0:
                raise RuntimeError(f"{' '.join(pins)}: {(result.stderr or result.stdout).strip()[-300:]}")
            scratch.rename(folder)
    return folder


def python_libraries():
    """Makes the libraries importable in this process."""
    folder = fetched("python", PYTHON, lambda target: subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-input", "--root-user-action=ignore", "--target", str(target), *PYTHON],
        capture_output=True, text=True))
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def node_libraries():
    """The folder whose node_modules hold the libraries."""
    if not shutil.which("npm"):
        raise RuntimeError("npm is not installed")
    return fetched("node", NODE, lambda target: subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(target), *NODE],
        capture_output=True, text=True, env={**os.environ, "npm_config_update_notifier": "false"}))
