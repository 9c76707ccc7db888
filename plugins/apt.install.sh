#!/bin/sh
# Install Debian packages. When all of them are there already, nothing is asked of the network.
# No question is put, no service is started, and files in /etc that earlier steps changed stay.
set -euf
KANTOO_NAME=apt.install
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh
# shellcheck source=plugins/lib/bash/apt.sh
. /entropy/plugins/apt.sh

export LC_ALL=C.UTF-8

check_names() {
    for package in $PACKAGES; do
        case $package in
        -* | *[!A-Za-z0-9+.:~=/-]*) die "packages: '$package' is not a package name" ;;
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

need_root
need apt-get "apt.install is for Debian and what derives from it"
check_names
is_true clean "$CLEAN" || :
is_true update "$UPDATE" || :
is_true recommends "$RECOMMENDS" || :
[ "${MAX_AGE_H:-0}" = 0 ] || [ "$CLEAN" = false ] || die "max_age_h: lists that are taken as they are must stay" "say clean: false too, and mount a store at /var/lib/apt/lists"
[ -n "$(printf '%s' "$PACKAGES" | tr -d '[:space:]')" ] || die "packages: the list is empty"

missing=$(list_missing)
if [ -z "$missing" ]; then
    info "all there already"
    exit 0
fi
info "not there yet: $missing"
# shellcheck disable=SC2086  # one word a package, checked above
apt_install $PACKAGES
! is_true clean "$CLEAN" || apt_remove_traces
