#!/bin/sh
# Install Debian packages. When all of them are there already, nothing is asked of the network.
# No question is put, no service is started, and files in /etc that earlier steps changed stay.
set -euf
KANTOO_NAME=apt.install
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

POLICY=/usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

check_names() {
    for package in $PACKAGES; do
        case $package in
        -* | *[!A-Za-z0-9+.:~=/-]*) die "packages: '$package' is no package name" ;;
        *-) die "packages: '$package' ends with '-', which tells apt to remove it" "this plugin only installs" ;;
        esac
    done
}

is_installed() { # NAME[=VERSION]
    case $1 in
    */*) return 1 ;; # what a suite has now is only known to apt
    esac
    found=$(dpkg-query -W -f '${db:Status-Status} ${Version}\n' -- "${1%%=*}" 2>/dev/null) || return 1
    case $1 in
    *=*) [ "$found" = "installed ${1#*=}" ] ;;
    *) [ "${found%% *}" = installed ] ;;
    esac
}

list_missing() {
    for package in $PACKAGES; do
        is_installed "$package" || printf '%s ' "$package"
    done
}

fetch_lists() {
    # Error-Mode=any: apt calls it a warning when only some of the lists could be fetched
    retry 3 5 apt-get -q -o APT::Update::Error-Mode=any -o Acquire::Retries=3 update ||
        die "the package lists could not be fetched" "see above: no network in this step, a wrong line in /etc/apt/sources.list*, or a clock that is off"
}

forbid_service_starts() {
    # invoke-rc.d asks this program; 101 means no
    [ ! -e "$POLICY" ] || return 0
    trap 'rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 0755 "$POLICY"
}

install_packages() {
    extras=--no-install-recommends
    ! is_true recommends "$RECOMMENDS" || extras=--install-recommends
    # shellcheck disable=SC2086  # one word a package, checked above
    apt-get -q -y "$extras" \
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        -o Dpkg::Options::=--log=/dev/null \
        -o Dir::Log::Terminal= -o Dir::Log::History= -o Dir::Log::Planner= \
        install -- $PACKAGES ||
        die "apt-get could not install: $(printf '%s ' $PACKAGES)" "see above; 'Unable to locate' means a wrong name or a component that is not in /etc/apt/sources.list*"
}

remove_traces() {
    apt-get clean
    find /var/lib/apt/lists /var/cache/apt -type f ! -name lock -delete
    rmdir /var/lib/apt/lists/auxfiles 2>/dev/null || :
    find /var/lib/dpkg /var/cache/debconf -maxdepth 1 -name '*-old' -delete
    rm -f /var/cache/ldconfig/aux-cache
}

need_root
need apt-get "apt.install is for Debian and what derives from it"
check_names
is_true clean "$CLEAN" || :
is_true update "$UPDATE" || :
[ -n "$(printf '%s' "$PACKAGES" | tr -d '[:space:]')" ] || die "packages: the list is empty"

missing=$(list_missing)
if [ -z "$missing" ]; then
    info "all there already"
    exit 0
fi
info "not there yet: $missing"
! is_true update "$UPDATE" || fetch_lists
forbid_service_starts
install_packages
! is_true clean "$CLEAN" || remove_traces
