"""What the servers of this folder share: how they run as children of this process, and how a program obeys its standard input."""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys


def in_child(user=None, dies_by=signal.SIGKILL):
    """For `preexec_fn`. `user`: a pwd entry to become, or None; `dies_by`: the signal that the child gets when this process ends, or None."""
    libc = ctypes.CDLL(None)

    def run():
        os.setsid()  # a Ctrl-C in the terminal is ours to handle
        if user:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if dies_by:
            libc.prctl(1, dies_by)  # PR_SET_PDEATHSIG

    return run


def text_of(path):
    """Of a log; empty if there is none."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class ChildServer:
    """A server that is one process. Who derives has start(), which sets `process`, and `root`, a folder that goes with it."""
    process = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *unused):
        if self.process is not None and self.process.poll() is None:
            self.resume()
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def stop(self, timeout=60):
        """A clean end. Safe twice."""
        self._end(signal.SIGTERM, timeout)

    def kill(self, timeout=60):
        """As in a crash. Safe twice."""
        self._end(signal.SIGKILL, timeout)

    def _end(self, how, timeout):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(timeout)
        self.process = None

    def restart(self):
        self.stop()
        self.start()

    def pause(self):
        """It keeps its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


def serve(server, facts, **commands):
    """Runs the server until standard input closes or says quit. Prints a JSON line per state, with what `facts()` says. Knows start, stop and
    restart, and `commands`: functions of the rest of the line, which may return a state of their own to print."""
    def say(state):
        print(json.dumps({"state": state, **facts(), "pid": server.process.pid if server.process else 0}), flush=True)

    def restart(_):
        server.stop()
        server.start()

    known = {"start": lambda _: server.start(), "stop": lambda _: server.stop(), "restart": restart, **commands}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        say("ready")
        for line in sys.stdin:
            command, _, rest = line.strip().partition(" ")
            if command == "quit":
                break
            if command not in known:
                say("unknown command")
                continue
            own = known[command](rest)
            say(own if isinstance(own, str) else "ready" if server.process else "stopped")
