#!/bin/sh
# Make dpkg leave out documentation and translations, which are a third of a small system's files, and
# not wait for the disk after each of the rest.
set -euf
KANTOO_NAME=dpkg.lean
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

LEAN=/etc/dpkg/dpkg.cfg.d/lean
UNSAFE=/etc/dpkg/dpkg.cfg.d/build-unsafe-io
APT=/etc/apt/apt.conf.d/99lean

check_patterns() { # NAME LINES
    printf '%s\n' "$2" | while IFS= read -r pattern; do
        case $pattern in
        '' | /*) ;;
        *) die "$1: '$pattern' is not an absolute path" ;;
        esac
    done
}

wanted_rules() {
    printf '%s\n' "$EXCLUDE" | sed '/^$/d; s/^/path-exclude=/'
    # the licences ask for it, and Debian's policy
    printf 'path-include=%s\n' '/usr/share/doc/*/copyright'
    printf '%s\n' "$KEEP" | sed '/^$/d; s/^/path-include=/'
}

put() { # FILE: its content on stdin
    content=$(cat)
    [ "$(cat "$1" 2>/dev/null || :)" != "$content" ] || return 0
    printf '%s\n' "$content" | replace_file "$1"
    info "$1 written"
}

drop() { # FILE
    [ ! -e "$1" ] || rm "$1"
}

is_kept() { # PATH
    case $1 in
    /usr/share/doc/*/copyright) return 0 ;;
    esac
    for pattern in $KEEP; do
        # shellcheck disable=SC2254  # a pattern it is
        case $1 in $pattern) return 0 ;; esac
    done
    return 1
}

remove_excluded() {
    # The part before the first wildcard is where to look; a `*` of dpkg's takes slashes too, as find's does.
    printf '%s\n' "$EXCLUDE" | while IFS= read -r pattern; do
        start=${pattern%%[*?[]*}
        start=${start%/*}
        [ -d "${start:-/nowhere}" ] || continue
        find "$start" -xdev -path "$pattern" ! -type d
    done | while IFS= read -r file; do
        is_kept "$file" || printf '%s\0' "$file"
    done | xargs -0 -r rm -f
}

need_root
need dpkg "dpkg.lean is for Debian and what derives from it"
check_patterns exclude "$EXCLUDE"
check_patterns keep "$KEEP"
is_true languages "$LANGUAGES" || :
wanted_rules | put "$LEAN"
if is_true unsafe_io "$UNSAFE_IO"; then
    echo force-unsafe-io | put "$UNSAFE"
else
    drop "$UNSAFE"
fi
if is_true languages "$LANGUAGES"; then
    drop "$APT"
else
    echo 'Acquire::Languages "none";' | put "$APT"
fi
remove_excluded
info "dpkg leaves out $(printf '%s\n' "$EXCLUDE" | sed '/^$/d' | wc -l) patterns of paths"
