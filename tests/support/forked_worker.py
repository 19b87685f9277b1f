"""Ray starts this in a worker's place: it asks for a fork of the process that has loaded everything.

It loads nothing itself but sockets. See `tests.support.forked_workers`.
"""

import json
import os
import socket
import sys

PLACE = "TUNINGFORK_TEST_WORKERS"
FIRST_JOB = "01000000"
"""Of a Ray's own driver; any other's workers are started as Ray does it."""

OF_THE_START = ("--serialized-runtime-env-context=", "--language=")


def main() -> None:
    """Be there for as long as the fork is; without one, start a worker as Ray does."""
    words = [word for word in sys.argv[1:] if not word.startswith(OF_THE_START)]
    usual = [word for word in sys.argv[1:] if word.startswith(OF_THE_START)]
    plain = set(usual) <= {"--serialized-runtime-env-context={}", "--language=PYTHON"}
    if plain and os.environ.get("RAY_JOB_ID") == FIRST_JOB:
        with socket.socket(socket.AF_UNIX) as forks:
            request = json.dumps([words, dict(os.environ), os.getcwd()]).encode()
            try:
                forks.connect(os.environ[PLACE])
                socket.send_fds(forks, [len(request).to_bytes(8, "big")], [1, 2])
                forks.sendall(request)
                forks.recv(1)  # nothing, once the fork has ended
            except (OSError, KeyError):
                pass
            else:
                return
    setup = os.path.join(os.path.dirname(words[0]), "setup_worker.py")
    os.execv(sys.executable, [sys.executable, setup, *sys.argv[1:]])


if __name__ == "__main__":
    main()
