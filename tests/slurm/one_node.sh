#!/usr/bin/env bash
# A real SLURM on one machine for the tests: slurmctld, slurmd and munge from Debian's packages, with
# one stand-in GPU, as root and without systemd or an accounting database.
#   one_node.sh install    needs apt-get
#   one_node.sh start      leaves a SLURM alone that is not its own
#   one_node.sh stop       and removes what start has written
# The configuration must lie in /etc/slurm: a job step of Snakemake's plugin keeps no SLURM_CONF.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=/run/mcalc-slurm
conf=/etc/slurm/slurm.conf

install() {
  if command -v slurmctld slurmd sbatch munged >/dev/null; then return; fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # Without the recommended packages: they bring a mail server and plugins that no test needs.
  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge
}

start() {
  if [ -e "$conf" ] && ! is_ours; then
    echo "$conf is not of these tests: they do not touch a SLURM that a machine has." >&2
    return 1
  fi
  stop
  mkdir -p "$folder/state" "$folder/spool" "$folder/munge" /etc/slurm
  start_munge
  host=$(hostname -s)
  sed "s|@HOST@|$host|g; s|@FOLDER@|$folder|g" "$here/slurm.conf.in" >"$conf"
  # A GPU needs a device file; without one slurmd counts none.
  printf 'AutoDetect=off\nNodeName=%s Name=gpu File=/dev/null\n' "$host" >/etc/slurm/gres.conf
  slurmctld
  slurmd
  for _ in $(seq 100); do
    if [ "$(sinfo --noheader --format %T 2>/dev/null)" = idle ]; then return; fi
    sleep 0.2
  done
  tail "$folder"/*.log >&2
  echo "The node of the tests' SLURM did not become idle in 20 s." >&2
  return 1
}

is_ours() { grep --quiet ClusterName=mcalc-tests "$conf"; }

# Where somebody serves the socket already, that does.
start_munge() {
  if munge --no-input >/dev/null 2>&1; then return; fi
  mkdir -p /etc/munge /run/munge
  if [ ! -s /etc/munge/munge.key ]; then head -c 128 /dev/urandom >/etc/munge/munge.key; fi
  chown -R munge:munge /etc/munge /run/munge "$folder/munge"
  chmod 700 /etc/munge
  chmod 400 /etc/munge/munge.key
  chmod 755 /run/munge
  runuser --user munge -- munged --pid-file="$folder/munge/munged.pid" \
    --log-file="$folder/munge/munged.log" --seed-file="$folder/munge/munged.seed"
}

stop() {
  if ! [ -e "$conf" ] || ! is_ours; then return; fi
  scancel --user root 2>/dev/null || true
  for daemon in slurmd slurmctld munge/munged; do
    end "$folder/$daemon.pid"
  done
  rm -rf "$conf" /etc/slurm/gres.conf "$folder"
}

# End the process of a pid file, if it runs, and wait for it. One that has ended may stay as a zombie
# where nobody waits for it, as in a container without an init.
end() {
  [ -s "$1" ] || return 0
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 50); do
    case $(ps -o stat= -p "$pid") in "" | Z*) return 0 ;; esac
    sleep 0.2
  done
  kill -KILL "$pid"
}

"$@"
