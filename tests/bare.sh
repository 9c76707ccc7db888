#!/bin/sh
# Try `make hello` and `make test` on a Debian that has nothing but python3, git and make; by hand, as root.
#
#   tests/bare.sh [SUITE ...]                            default: bookworm trixie
#   COMMAND='make test ARGS=tests/docker' tests/bare.sh trixie
#   ROOT=/var/tmp/trixie tests/bare.sh trixie            makes that root, or uses it again, and leaves it
#
# Each suite gets a root file system, and mounts, processes and a network of its own: so the engine that
# `make hello` installs and starts is apart from the host's, and all ends with the command. The host needs
# mmdebstrap and slirp4netns. Settings of proxies and pip, and the certificates, are the host's; so are the kernel
# and the emulators that are registered with it.
# Exit code 0 when the command went well in each.

set -eu
: "${COMMAND:=make hello && make test}"
# The last four are in every installed Debian, though not in so small a root.
PACKAGES=python3,python3-venv,git,make,ca-certificates,mount,iproute2,procps,kmod

# The first process in the new namespaces: waits for the network, enters the root, runs the command.
inside() {
  root=$1
  echo up >"$2/up"
  read -r _ <"$2/go"
  ip link set lo up
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/run"
  mount -t tmpfs tmpfs "$root/tmp"
  mkdir -p "$root/run/host"
  cd "$root"
  pivot_root . run/host
  umount -l /run/host
  settings=$(env | grep -iE '^(https?_proxy|no_proxy|pip_[a-z_]*|ssl_cert_file|requests_ca_bundle)=[^ ]*$' || true)
  # shellcheck disable=SC2086  # one word a setting
  env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb $settings \
    sh -c "cd /opt/stalker && $COMMAND"
}

make_root() {
  mmdebstrap --quiet --variant=apt --include="$PACKAGES" "$2" "$1"
  cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$1/etc/"; fi
  echo "nameserver 10.0.2.3" >"$1/etc/resolv.conf"
}

try() {
  work=$(mktemp -d -p /var/tmp stalker-bare.XXXXXX)
  root=${ROOT:-$work/root}
  trap 'rm -rf --one-file-system "$work"' EXIT
  [ -e "$root/etc/debian_version" ] || make_root "$root" "$1"
  rm -rf "$root/opt/stalker"
  git clone --quiet --no-hardlinks "$(dirname "$0")/.." "$root/opt/stalker"
  mkfifo "$work/up" "$work/go" "$work/ready"

  unshare --mount --pid --net --fork --kill-child sh "$0" --inside "$root" "$work" &
  namespaces=$!
  read -r _ <"$work/up"
  init=$(tr -d ' ' <"/proc/$namespaces/task/$namespaces/children")
  slirp4netns --configure --mtu=65520 --ready-fd=3 "$init" tap0 3>"$work/ready" >"$work/network.log" 2>&1 &
  network=$!
  read -r _ <"$work/ready" || true
  echo go >"$work/go"

  code=0
  wait "$namespaces" || code=$?
  kill "$network" 2>/dev/null || true
  exit "$code"
}

# `set -e` counts for nothing in a condition, so each part runs in a shell of its own.
case ${1-} in
  --inside) inside "$2" "$3"; exit ;;
  --try) try "$2"; exit ;;
esac
for program in mmdebstrap slirp4netns; do
  command -v "$program" >/dev/null || { echo "$0: as root: apt-get install -y $program" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "$0: needs root" >&2; exit 2; }
[ $# -gt 0 ] || set -- bookworm trixie
result=0
for suite in "$@"; do
  echo "$suite: $COMMAND" >&2
  if sh "$0" --try "$suite"; then echo "$suite: passed" >&2; else echo "$suite: FAILED" >&2; result=1; fi
done
exit $result
