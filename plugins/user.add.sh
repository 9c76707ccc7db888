#!/bin/sh
# Add a user, or bring one into the state asked for. What is not asked for stays as it is.
# Arguments named home, shell, uid or groups would not do: the container's runtime sets an empty HOME,
# and bash keeps SHELL, UID and GROUPS to itself.
set -euf
KANTOO_NAME=user.add
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

NEWLINE='
'

field() { # DATABASE KEY NUMBER: one field of an entry of passwd, group or shadow
    getent "$1" "$2" | cut -d: -f"$3"
}

group_is_there() { # NAME-OR-NUMBER
    getent group "$1" >/dev/null
}

is_number() {
    case $1 in
    '' | *[!0-9]*) return 1 ;;
    esac
}

check_password() {
    case $PASSWORD_HASH in
    '' | '!' | '*' | '!*') ;;
    \$y\$*\$*\$* | \$gy\$*\$*\$* | \$7\$*\$* | \$2[aby]\$*\$* | \$6\$*\$* | \$5\$*\$*)
        case $PASSWORD_HASH in
        *:* | *"$NEWLINE"*) die "password_hash: it has a colon or a line break in it" ;;
        esac
        ;;
    \$1\$*) die "password_hash: MD5 (\$1\$) is broken within hours" "make a better one: openssl passwd -6" ;;
    *) die "password_hash: this is not a hash, and a plain password is not taken: it would stand in the files of the tree for all to read" \
        "make a hash and give that: openssl passwd -6" ;;
    esac
}

check_arguments() {
    case $NAME in
    '' | [!a-z_]* | *[!a-z0-9_-]*) die "name: '$NAME' is not a login name" "small letters, digits, '_' and '-', a letter first" ;;
    esac
    [ "${#NAME}" -le 32 ] || die "name: '$NAME' is longer than 32 characters"
    [ -z "$USER_ID" ] || is_number "$USER_ID" || die "user_id: '$USER_ID' is not a number"
    case $COMMENT in
    *:* | *"$NEWLINE"*) die "comment: a colon or line break cannot stand in /etc/passwd" ;;
    esac
    case $HOME_DIR in
    '') ;;
    *:* | *"$NEWLINE"*) die "home_dir: a colon or line break cannot stand in /etc/passwd" ;;
    /*) ;;
    *) die "home_dir: '$HOME_DIR' is not an absolute path" ;;
    esac
    [ -z "$LOGIN_SHELL" ] || [ -x "$LOGIN_SHELL" ] ||
        die "login_shell: $LOGIN_SHELL is not in this image" "install it in a step before"
    is_true system "$SYSTEM" || :
    check_password

    absent=''
    for group in $MEMBER_OF; do
        group_is_there "$group" || absent="$absent $group"
    done
    [ -z "$absent" ] || die "member_of: no such group:$absent" "groupadd them in a step before, or install the package that brings them"
    [ -z "$GROUP" ] || is_number "$GROUP" || group_is_there "$GROUP" ||
        die "group: there is no group '$GROUP'" "groupadd it in a step before"
    if [ -n "$USER_ID" ]; then
        holder=$(field passwd "$USER_ID" 1)
        [ -z "$holder" ] || [ "$holder" = "$NAME" ] || die "user_id: $USER_ID belongs to '$holder'"
    fi
}

make_group() {
    # a primary group given by a number that nobody has: one named like the user
    is_number "$GROUP" || return 0
    ! group_is_there "$GROUP" || return 0
    ! group_is_there "$NAME" || die "group: there is no group $GROUP, and group '$NAME' has another number"
    groupadd --gid "$GROUP" -- "$NAME"
    info "group $NAME made with number $GROUP"
}

default_shell() {
    if [ "$SYSTEM" = true ]; then
        for candidate in /usr/sbin/nologin /sbin/nologin /bin/false; do
            [ ! -x "$candidate" ] || break
        done
    else
        for candidate in /bin/bash /bin/sh; do
            [ ! -x "$candidate" ] || break
        done
    fi
    printf '%s' "$candidate"
}

add() {
    set -- --shell "${LOGIN_SHELL:-$(default_shell)}" --comment "$COMMENT"
    [ -z "$USER_ID" ] || set -- "$@" --uid "$USER_ID"
    [ -z "$HOME_DIR" ] || set -- "$@" --home-dir "$HOME_DIR"
    if [ "$SYSTEM" = true ]; then
        set -- "$@" --system --no-create-home
    else
        set -- "$@" --create-home
    fi
    if [ -n "$GROUP" ]; then
        set -- "$@" --no-user-group --gid "$GROUP"
    elif group_is_there "$NAME"; then
        set -- "$@" --no-user-group --gid "$NAME"
    else
        set -- "$@" --user-group
    fi
    useradd "$@" -- "$NAME" || die "useradd failed" "see above"
    info "$NAME added with number $(field passwd "$NAME" 3)"
}

change() { # WHAT FIELD WANTED USERMOD-OPTION: when one of passwd's fields is not as asked
    [ -n "$3" ] && [ "$(field passwd "$NAME" "$2")" != "$3" ] || return 0
    usermod "$4" "$3" -- "$NAME" || die "usermod could not change the $1" "see above"
    info "$NAME: $1 is $3 now"
}

join_groups() {
    for group in $MEMBER_OF; do
        case " $(id -nG -- "$NAME") " in
        *" $group "*) continue ;;
        esac
        usermod --append --groups "$group" -- "$NAME" || die "usermod could not add $NAME to $group" "see above"
        info "$NAME is in $group now"
    done
}

set_password() {
    [ -n "$PASSWORD_HASH" ] || return 0
    [ "$(field shadow "$NAME" 2)" != "$PASSWORD_HASH" ] || return 0
    printf '%s:%s\n' "$NAME" "$PASSWORD_HASH" | chpasswd --encrypted || die "chpasswd failed" "see above"
    info "$NAME has the password of that hash now"
}

need_root
need useradd "install the package passwd (Debian) or sys-apps/shadow (Gentoo)"
check_arguments
make_group
if getent passwd "$NAME" >/dev/null; then
    change number 3 "$USER_ID" --uid
    if [ -n "$GROUP" ]; then
        change 'primary group' 4 "$(field group "$GROUP" 3)" --gid
    fi
    change comment 5 "$COMMENT" --comment
    change home 6 "$HOME_DIR" --home
    change shell 7 "$LOGIN_SHELL" --shell
else
    add
fi
join_groups
set_password
