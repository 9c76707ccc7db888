#!/bin/sh
# Set LANG for the system that boots from the image, and generate the locale when it is not there.
set -euf
KANTOO_NAME=locale.set
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

SUPPORTED=/usr/share/i18n/SUPPORTED

normalised() { # de_DE.UTF-8 -> de_DE.utf8, as `locale -a` prints it
    printf '%s\n' "$1" | sed 's/\.[Uu][Tt][Ff]-*8/.utf8/; s/\.ISO-8859-/.iso8859/'
}

is_there() {
    case $LOCALE in
    C | POSIX | C.UTF-8) return 0 ;;
    esac
    locale -a 2>/dev/null | grep -q -x -F -e "$(normalised "$LOCALE")" -e "$LOCALE"
}

generate() {
    need locale-gen "install the package locales in a step before, or take C.UTF-8, which needs none"
    [ -e "$SUPPORTED" ] || die "there is no $SUPPORTED in this image" "install the package locales in a step before"
    entry=$(awk -v name="$LOCALE" '$1 == name { print $1 " " $2; exit }' "$SUPPORTED")
    if [ -z "$entry" ]; then
        near=$(sed -n "s/^\(${LOCALE%%[_.@]*}_[^ ]*UTF-8[^ ]*\) .*/\1/p" "$SUPPORTED" | head -n 5 | tr '\n' ' ')
        die "locale: there is no locale '$LOCALE'" "${near:+there are: $near  }all names are in $SUPPORTED"
    fi
    touch /etc/locale.gen
    if ! grep -q -x -F -e "$entry" /etc/locale.gen; then
        # the line is there as a comment in Debian's and Gentoo's file
        awk -v entry="$entry" '
            !done && $0 ~ /^#/ { text = $0; sub(/^# */, "", text); sub(/ *$/, "", text) }
            !done && text == entry { print entry; done = 1; next }
            { print }
            END { if (!done) print entry }
        ' /etc/locale.gen | replace_file /etc/locale.gen
    fi
    locale-gen || die "locale-gen failed" "see above"
    is_there || die "locale-gen ended well, and '$LOCALE' is still not there"
}

set_variable() { # FILE: give LANG this value in a file of VAR=value lines
    line="LANG=$LOCALE"
    [ ! -e "$1" ] || ! grep -q -x -F -e "$line" "$1" || return 0
    {
        [ ! -e "$1" ] || grep -v '^ *LANG=' "$1" || :
        printf '%s\n' "$line"
    } | replace_file "$1"
    info "LANG=$LOCALE in $1"
}

need_root
case $LOCALE in
'' | -* | *[!A-Za-z0-9_.@-]*) die "locale: '$LOCALE' is not a locale name" "such as de_DE.UTF-8" ;;
esac
if ! is_there; then
    is_true generate "$GENERATE" || die "locale: '$LOCALE' is not in this image" "say generate: true"
    generate
fi

# each distribution has its own place for it
if [ -d /etc/env.d ]; then
    set_variable /etc/env.d/02locale
    ! command -v env-update >/dev/null || env-update
elif [ -e /etc/debian_version ]; then
    set_variable /etc/default/locale
else
    set_variable /etc/locale.conf
fi
info "the locale is $LOCALE"
