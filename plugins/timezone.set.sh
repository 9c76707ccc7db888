#!/bin/sh
# Set the time zone: /etc/localtime is the link that localtime(5) asks for, /etc/timezone what Debian,
# Gentoo and OpenRC read beside it.
set -euf
KANTOO_NAME=timezone.set
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

DATABASE=/usr/share/zoneinfo

set_link() {
    [ "$(readlink /etc/localtime || :)" != "..$DATABASE/$ZONE" ] || return 0
    # a link cannot be replaced in place: rename one over it
    ln -s "..$DATABASE/$ZONE" /etc/.localtime.new
    mv -f -T /etc/.localtime.new /etc/localtime
    info "/etc/localtime is $ZONE"
}

set_name() {
    [ -e /etc/timezone ] || [ -e /etc/debian_version ] || [ -d /etc/env.d ] || return 0
    [ "$(cat /etc/timezone 2>/dev/null || :)" != "$ZONE" ] || return 0
    printf '%s\n' "$ZONE" | replace_file /etc/timezone
    info "/etc/timezone is $ZONE"
}

need_root
case $ZONE in
'' | /* | */ | *[!A-Za-z0-9_+/-]*) die "zone: '$ZONE' is not a time zone name" "such as Europe/Berlin" ;;
esac
[ -d "$DATABASE" ] || die "there is no $DATABASE in this image" "install the package tzdata in a step before"
if [ ! -f "$DATABASE/$ZONE" ]; then
    near=$(find "$DATABASE" -iname "${ZONE##*/}" -type f ! -path "$DATABASE/posix/*" ! -path "$DATABASE/right/*" | sed "s|^$DATABASE/||" | head -n 3 | tr '\n' ' ')
    die "zone: there is no time zone '$ZONE'" "${near:+is it: $near  }all names are below $DATABASE"
fi
set_link
set_name
info "the time zone is $ZONE"
