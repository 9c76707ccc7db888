# shellcheck shell=sh
# What plugins that install Debian packages share. It is sourced after kantoo.sh:
#
#     . /entropy/plugins/apt.sh
#
# The variables UPDATE, CLEAN, RECOMMENDS and MAX_AGE_H are the arguments of apt.install, and may be unset.
# Names that start with kantoo_ are its own.

KANTOO_POLICY=/usr/sbin/policy-rc.d
KANTOO_FETCHED=/var/lib/apt/lists/.fetched # apt takes it away with the lists that it replaces

apt_install() { # PACKAGE...: install packages, after their lists are fetched where that is asked for
    kantoo_check_age
    ! is_true update "${UPDATE:-true}" || kantoo_fetch_lists
    kantoo_forbid_service_starts
    kantoo_extras=--no-install-recommends
    ! is_true recommends "${RECOMMENDS:-false}" || kantoo_extras=--install-recommends
    DEBIAN_FRONTEND=noninteractive apt-get -q -y "$kantoo_extras" \
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        -o Dpkg::Options::=--log=/dev/null \
        -o Dir::Log::Terminal= -o Dir::Log::History= -o Dir::Log::Planner= \
        install -- "$@" ||
        die "apt-get could not install: $(printf '%s ' "$@")" "see above; 'Unable to locate' means a wrong name or a component that is not in /etc/apt/sources.list*"
}

apt_remove_traces() { # take away what apt keeps for the next time; it would only be in the way of an image
    apt-get clean
    find /var/lib/apt/lists /var/cache/apt -type f ! -name lock -delete
    rmdir /var/lib/apt/lists/auxfiles 2>/dev/null || :
    find /var/lib/dpkg /var/cache/debconf -maxdepth 1 -name '*-old' -delete
    rm -f /var/cache/ldconfig/aux-cache
}

kantoo_check_age() {
    case ${MAX_AGE_H:-0} in
    *[!0-9]*) die "max_age_h: '$MAX_AGE_H' is not a number of hours" ;;
    esac
}

kantoo_sources() { # a checksum over what decides which lists there are
    {
        dpkg --print-architecture
        find /etc/apt/sources.list /etc/apt/sources.list.d -type f -exec cat {} + 2>/dev/null
    } | cksum
}

kantoo_lists_are_fresh() {
    [ "${MAX_AGE_H:-0}" -gt 0 ] && [ -e "$KANTOO_FETCHED" ] &&
        [ "$(find "$KANTOO_FETCHED" -mmin "-$((MAX_AGE_H * 60))")" = "$KANTOO_FETCHED" ] &&
        [ "$(cat "$KANTOO_FETCHED")" = "$(kantoo_sources)" ]
}

kantoo_fetch_lists() {
    if kantoo_lists_are_fresh; then
        info "the package lists are no older than $MAX_AGE_H h"
        return 0
    fi
    # Error-Mode=any: apt calls it a warning when only some of the lists could be fetched
    retry 3 5 apt-get -q -o APT::Update::Error-Mode=any -o Acquire::Retries=3 update ||
        die "the package lists could not be fetched" "see above: no network in this step, a wrong line in /etc/apt/sources.list*, or a clock that is off"
    [ "${MAX_AGE_H:-0}" -eq 0 ] || kantoo_sources >"$KANTOO_FETCHED"
}

kantoo_forbid_service_starts() {
    # invoke-rc.d asks this program; 101 means no
    [ ! -e "$KANTOO_POLICY" ] || return 0
    trap 'rm -f "$KANTOO_POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$KANTOO_POLICY"
    chmod 0755 "$KANTOO_POLICY"
}
