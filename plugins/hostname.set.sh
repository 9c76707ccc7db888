#!/bin/sh
# Give the image a host name. Docker mounts its own /etc/hostname and /etc/hosts over the image's, so
# the name goes where init systems look when /etc/hostname is empty: os-release(5), conf.d/hostname.
set -euf
KANTOO_NAME=hostname.set
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

check_name() {
    # RFC 1123, 2.1: labels of letters, digits and hyphens, no hyphen first or last, at most 63 each
    label='[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
    if [ "$(printf '%s\n' "$NAME" | wc -l)" -ne 1 ] || ! printf '%s\n' "$NAME" | LC_ALL=C grep -q -x -E -e "$label(\.$label)*"; then
        die "name: '$NAME' is not a host name" "letters, digits and hyphens, no hyphen first or last, at most 63 between dots (RFC 1123)"
    fi
    [ "${#NAME}" -le 64 ] || die "name: '$NAME' is longer than the 64 characters that Linux takes"
}

put_line() { # FILE START LINE: the line that starts with START is LINE from now on
    if [ -e "$1" ] && [ "$(grep -e "^$2" "$1" || :)" = "$3" ]; then
        return 0
    fi
    {
        [ ! -e "$1" ] || grep -v -e "^$2" "$1" || :
        printf '%s\n' "$3"
    } | replace_file "$1"
    info "$3 in $1"
}

set_for_systemd() {
    release=/etc/os-release
    [ -e "$release" ] || release=/usr/lib/os-release
    [ -e "$release" ] || die "there is no os-release in this image to hold DEFAULT_HOSTNAME"
    put_line "$release" DEFAULT_HOSTNAME= "DEFAULT_HOSTNAME=\"$NAME\""
}

set_for_openrc() {
    put_line /etc/conf.d/hostname hostname= "hostname=\"$NAME\""
}

set_directly() {
    if [ "$(cat /etc/hostname 2>/dev/null || :)" != "$NAME" ]; then
        printf '%s\n' "$NAME" | replace_file /etc/hostname
        info "$NAME in /etc/hostname"
    fi
    names=$NAME
    [ "$NAME" = "${NAME%%.*}" ] || names="$NAME ${NAME%%.*}"
    put_line /etc/hosts '127\.0\.1\.1[[:space:]]' "127.0.1.1 $names"
}

need_root
check_name

is_set=false
if ! is_docker_mount /etc/hostname && ! is_docker_mount /etc/hosts; then
    set_directly
    is_set=true
fi
if [ -d /etc/conf.d ] && command -v rc-update >/dev/null; then
    set_for_openrc
    is_set=true
fi
if [ -x /usr/lib/systemd/systemd ] || [ -x /lib/systemd/systemd ]; then
    set_for_systemd
    is_set=true
fi
if [ "$is_set" = false ]; then
    [ ! -e /etc/inittab ] ||
        die "System V init reads the name from /etc/hostname only, and that is Docker's own mount in a step" \
            "write it when the image is exported, or boot the image with systemd or OpenRC"
    set_for_systemd
    warn "there is no init system in this image yet; systemd will take the name from os-release"
fi
info "the host name is $NAME"
