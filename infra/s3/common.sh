# shellcheck shell=bash
# What `up` and `down` share. Both set $folder.

marker=.tuningfork-object-store
daemons=(radosgw ceph-osd ceph-mon)

say() { echo "object store $*"; }

fail() {
  echo "infra/s3: $*" >&2
  exit 2
}

# Make $folder absolute and ours, one script at a time; a folder with other things in it is refused.
take_folder() {
  mkdir -p "$1"
  folder=$(cd "$1" && pwd)
  if [[ ! -e $folder/$marker && -n $(ls -A "$folder") ]]; then
    fail "$folder has other files in it; expected a new or empty folder"
  fi
  exec 9>"$folder/$marker"
  flock --wait 300 9 || fail "$folder is being started or stopped by another process"
}

# Process ids of this folder's daemons, of one name or of all. They are known by the configuration they were
# started with: a file with a process id may be late, stale or name a stranger.
# shellcheck disable=SC2120 # `up` gives the name
daemon_pids() {
  local file pid name
  grep -lzFx -s -- "$folder/ceph.conf" /proc/[0-9]*/cmdline | while read -r file; do
    pid=${file//[!0-9]/}
    read -r name 2>/dev/null <"/proc/$pid/comm" || continue
    [[ " ${1:-${daemons[*]}} " == *" $name "* ]] && echo "$pid"
  done || true
}

# Killed at once: an OSD asked to end first writes its memory to disk.
stop_daemons() {
  local pid
  for pid in $(daemon_pids); do
    kill -KILL "$pid" 2>/dev/null || true
  done
  while [[ -n $(daemon_pids) ]]; do sleep 0.05; done
}

clear_folder() {
  local name
  for name in mon.a osd.0 rgw run ceph.conf keyring monmap environment environment.part; do
    rm -rf "${folder:?}/$name"
  done
}
