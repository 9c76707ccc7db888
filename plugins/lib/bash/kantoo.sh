# shellcheck shell=sh
# What shell scripts in containers may source:
#
#     . /entropy/plugins/kantoo.sh
#
# It stands there while a step runs and is gone before the commit. POSIX sh, so that dash, bash and
# busybox can all read it. Names that start with kantoo_ are its own. A script may set KANTOO_NAME,
# which starts each line; else the file name of the script does.

info() { # MESSAGE...: say what is going on, on stdout
    printf '%s: %s\n' "${KANTOO_NAME:-${0##*/}}" "$*"
}

warn() { # MESSAGE...: say what is odd, on stderr
    printf '%s: warning: %s\n' "${KANTOO_NAME:-${0##*/}}" "$*" >&2
}

die() { # MESSAGE [REMEDY]: say what is wrong and what to do about it, and end the step
    printf '%s: %s\n' "${KANTOO_NAME:-${0##*/}}" "$1" >&2
    [ -z "${2-}" ] || printf '  %s\n' "$2" >&2
    exit 1
}

retry() { # TIMES PAUSE_S COMMAND [ARGUMENT...]: run it until it works; its last exit code if it never does
    kantoo_left=$1 kantoo_pause=$2
    shift 2
    while :; do
        kantoo_code=0
        "$@" || kantoo_code=$?
        [ "$kantoo_code" -ne 0 ] || return 0
        kantoo_left=$((kantoo_left - 1))
        [ "$kantoo_left" -gt 0 ] || return "$kantoo_code"
        sleep "$kantoo_pause"
    done
}

need() { # COMMAND REMEDY: end the step unless the image has the command
    command -v "$1" >/dev/null 2>&1 || die "there is no '$1' in this image" "$2"
}

need_root() { # end the step unless it runs as root
    [ "$(id -u)" -eq 0 ] || die "this changes the system and must run as root" "leave 'user' out of DOCKER_OPTS"
}

is_true() { # NAME VALUE: whether an argument is 'true'; anything but true or false ends the step
    case $2 in
    true) return 0 ;;
    false) return 1 ;;
    *) die "$1: '$2' is neither true nor false" ;;
    esac
}

is_docker_mount() { # PATH: whether Docker mounts this file over the image's, so that no change to it is kept
    grep -q "^[^ ]* [^ ]* [^ ]* [^ ]* $1 " /proc/self/mountinfo 2>/dev/null
}

replace_file() { # PATH: give a file the content of stdin in one rename; mode, owner and links are kept
    kantoo_target=$1
    [ ! -L "$1" ] || kantoo_target=$(readlink -f -- "$1")
    kantoo_new=$(mktemp "${kantoo_target%/*}/.kantoo.XXXXXX")
    if [ -e "$kantoo_target" ]; then
        cp -p -- "$kantoo_target" "$kantoo_new"
    else
        chmod 0644 "$kantoo_new"
    fi
    cat >"$kantoo_new" && mv -f -- "$kantoo_new" "$kantoo_target" && return 0
    rm -f -- "$kantoo_new"
    return 1
}

one_line() { # LIST: the words of a list on one line, with a blank between two; run with set -f
    # shellcheck disable=SC2086
    set -- $1
    printf '%s\n' "$*"
}

needed_fingerprint() { # STALK[:STEP]: the fingerprint of a step that the stalk needs; ends the step unless there is one
    kantoo_found=$(printf '%s\n' "${STALKER_NEEDS-}" | while read -r kantoo_step kantoo_fingerprint; do
        case $kantoo_step in
        "$1" | "$1":*) printf '%s\n' "$kantoo_fingerprint" ;;
        esac
    done)
    case $kantoo_found in
    '') die "this stalk does not need '$1'" "add it to its node in the tree: needs: [ \"$1\" ]" ;;
    *[!0-9a-f]*) die "'$1' is more than one of the steps that this stalk needs" "write stalk:step" ;;
    esac
    printf '%s\n' "$kantoo_found"
}
