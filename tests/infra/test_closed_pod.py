"""Ray and the main job under what the manifests allow a pod: no root, no capabilities, a read-only root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT

# As the container runtime does: all file systems read-only but /tmp and shared memory, then a plain user.
OUTSIDE = r"""
set -eu
mount -t tmpfs -o mode=1777 tmpfs /tmp
if [ -n "$HIDDEN" ]; then # where Python lies in root's own folder
  mkdir /tmp/python; mount --bind "$HIDDEN" /tmp/python
  mount -t tmpfs -o mode=755 tmpfs /root; mkdir -p "$HIDDEN"; mount --bind /tmp/python "$HIDDEN"
fi
awk '{ print $2 }' /proc/self/mounts | sort -u | while read -r place; do
  case $place in
    /tmp | /proc* | /sys* | /dev*) ;;
    *) mount -o remount,ro,bind "$place" 2>/dev/null || true ;;
  esac
done
exec setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
  bash -euc "$INSIDE"
"""
INSIDE = r"""
if touch /etc/probe 2>/dev/null || touch "$PROJECT/probe" 2>/dev/null; then echo "not read-only"; exit 9; fi
cd /tmp
export PATH="$PROGRAMS:$PATH" PYTHONPATH="$PROJECT"
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
python -c 'from tests.faults.survey import Path, write_survey; write_survey(Path("cutouts"), 26)'
ray start --head --node-ip-address=127.0.0.1 --port=26379 --num-cpus=2 --dashboard-port=28265 \
  --object-store-memory=200000000 >/dev/null
export RAY_ADDRESS=127.0.0.1:26379
python -m jobs.cli classify input=cutouts output=out transforms=1 model_threads=1
for _ in {1..30}; do # the agent that takes jobs comes up last
  ! ray job submit --address http://127.0.0.1:28265 -- python -m jobs.cli verify /tmp/out || break
  sleep 2
done
status=0
RAY_AUTH_TOKEN=$(printf '0%.0s' {1..64}) python -m jobs.cli classify input=cutouts output=other || status=$?
echo "with a wrong token: $status"
"""


@pytest.mark.long
def test_ray_and_classify_need_no_more_than_a_closed_pod_has() -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to take everything away, and setpriv of util-linux")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make mount namespaces")
    python = Path(sys.executable).resolve().parent.parent
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/tmp",
        "INSIDE": INSIDE,
        "HIDDEN": str(python) if python.is_relative_to("/root") else "",
        "PROGRAMS": str(Path(sys.executable).parent),
        "PROJECT": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    # The namespace of processes ends all of them with the first.
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "bash", "-c", OUTSIDE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "24 galaxies classified, 2 quarantined" in said
    assert "verify: clean: 26 input rows" in said
    assert "with a wrong token: 2" in said
