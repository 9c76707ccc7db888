#!/bin/sh
# Put a line into a text file, replace one, or take it out. A file that is as asked is not touched;
# one that changes is replaced in one rename, with its mode and owner.
set -eu
KANTOO_NAME=file.line
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh
export LC_ALL=C # any byte but a line break may stand in a line

check_arguments() {
    case $FILE in
    /*) ;;
    *) die "file: '$FILE' is not an absolute path" ;;
    esac
    case $LINE in
    *"
"*) die "line: it has a line break in it" "use one step for each line" ;;
    esac
    case $STATE in
    present) [ -n "$LINE" ] || die "line: nothing is given, and state is present" ;;
    absent) [ -n "$LINE$MATCH" ] || die "line, match: neither is given, so nothing can be taken out" ;;
    *) die "state: '$STATE' is neither present nor absent" ;;
    esac
    is_true create "$CREATE" || :
    code=0
    printf '' | grep -E -e "$MATCH" 2>/dev/null || code=$?
    [ "$code" -le 1 ] || die "match: '$MATCH' is not an extended regular expression"
}

check_file() {
    [ ! -d "$FILE" ] || die "file: $FILE is a directory"
    ! is_docker_mount "$FILE" ||
        die "file: Docker mounts its own $FILE over that of the image: a change made by a step is lost" \
            "for the host name there is hostname.set; /etc/hosts and /etc/resolv.conf are written at export"
    [ ! -e "$FILE" ] || [ "$(tr -d '\000' <"$FILE" | wc -c)" -eq "$(wc -c <"$FILE")" ] ||
        die "file: $FILE is not a text file: it has zero bytes in it"
}

start_empty() {
    if [ "$STATE" = absent ]; then
        info "$FILE is not there, so the line is not"
        exit 0
    fi
    is_true create "$CREATE" || die "file: $FILE is not there" "say create: true if it is to be made"
    [ -d "${FILE%/*}/" ] || die "file: the folder ${FILE%/*} is not there" "make it in a step before"
}

numbers_of() { # GREP-OPTION...: the numbers of the lines that grep finds, separated by blanks
    { grep -n "$@" -- "$FILE" || [ $? -eq 1 ]; } | sed 's/:.*//' | tr '\n' ' '
}

rewrite() { # DROP PLACE: leave out lines DROP (numbers), put LINE in at number PLACE, at the end if 0
    awk -v drop="$1" -v place="$2" '
        BEGIN { split(drop, list, " "); for (i in list) dropped[list[i]] = 1; line = ENVIRON["LINE"] }
        NR == place { print line; next }
        !(NR in dropped) { print }
        END { if (place == 0) print line }
    ' "$3"
}

check_arguments
check_file
source=$FILE
same='' matching=''
if [ -e "$FILE" ]; then
    [ -z "$LINE" ] || same=$(numbers_of -x -F -e "$LINE")
    [ -z "$MATCH" ] || matching=$(numbers_of -E -e "$MATCH")
else
    start_empty
    source=/dev/null
fi

if [ "$STATE" = absent ]; then
    drop="$same$matching" place=-1
    done="taken out of $FILE"
elif [ -n "$same" ]; then
    # the line is there: what else matches goes
    drop=$(for number in $matching; do
        case " $same" in *" $number "*) ;; *) printf '%s ' "$number" ;; esac
    done)
    place=-1
    done="is in $FILE; others that match are gone"
else
    drop=$matching place=${matching%% *}
    place=${place:-0}
    done="put into $FILE"
fi

if [ -z "$drop" ] && [ "$place" -lt 0 ]; then
    info "$FILE is as it should be"
    exit 0
fi
export LINE
rewrite "$drop" "$place" "$source" | replace_file "$FILE"
info "${LINE:-what matches $MATCH}: $done"
