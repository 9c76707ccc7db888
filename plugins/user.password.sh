#!/bin/sh
# Give an account a password. It comes from a secret, goes to chpasswd by a pipe, and what is written is
# its hash: nobody sees it in a list of processes, in the log or in the image.
set -euf
KANTOO_NAME=user.password
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

NEWLINE='
'
LENGTH_MIN=8

check_arguments() {
    case $NEW_PASSWORD,$NEW_HASH in
    ,) die "new_password, new_hash: neither is given" ;;
    ,* | *,) ;;
    *) [ -z "$NEW_PASSWORD" ] || [ -z "$NEW_HASH" ] || die "new_password, new_hash: both are given" "keep one" ;;
    esac
    case $NEW_PASSWORD in
    *"$NEWLINE"*) die "new_password: there is a line break in it, which nobody can type" ;;
    esac
    [ -z "$NEW_PASSWORD" ] || [ "${#NEW_PASSWORD}" -ge "$LENGTH_MIN" ] ||
        die "new_password: it has fewer than $LENGTH_MIN characters" "such a one is found by trying"
    case $NEW_HASH in
    '' | \$y\$*\$*\$* | \$gy\$*\$*\$* | \$7\$*\$* | \$2[aby]\$*\$* | \$6\$*\$* | \$5\$*\$*) ;;
    \$1\$*) die "new_hash: MD5 (\$1\$) is broken within hours" "make a better one: openssl passwd -6" ;;
    *) die "new_hash: this is not a hash" "make one: openssl passwd -6; or give the password itself as new_password" ;;
    esac
    case $NEW_HASH in
    *:* | *"$NEWLINE"*) die "new_hash: it has a colon or a line break in it" ;;
    esac
    is_true must_change "$MUST_CHANGE" || :
    getent passwd "$ACCOUNT" >/dev/null || die "account: there is no '$ACCOUNT' in this image" "user.add adds one in a step before"
}

need_root
need chpasswd "install the package passwd (Debian) or sys-apps/shadow (Gentoo)"
check_arguments
if [ -n "$NEW_HASH" ]; then
    printf '%s:%s\n' "$ACCOUNT" "$NEW_HASH" | chpasswd --encrypted || die "chpasswd failed" "see above"
else
    printf '%s:%s\n' "$ACCOUNT" "$NEW_PASSWORD" | chpasswd || die "chpasswd failed" "see above"
fi
if is_true must_change "$MUST_CHANGE"; then
    chage --lastday 0 "$ACCOUNT"
fi
case $(getent shadow "$ACCOUNT" | cut -d: -f2) in
\$*) info "$ACCOUNT has the password now, as a hash" ;;
*) die "chpasswd ended well, and $ACCOUNT has no hash" "what does ENCRYPT_METHOD in /etc/login.defs say?" ;;
esac
