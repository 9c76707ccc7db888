#!/bin/sh
# Write /etc/fstab as fstab(5) says, and make the mount points: systemd makes missing ones on a root
# that it may write to, nobody else does.
set -euf
KANTOO_NAME=fstab
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

FILE=/etc/fstab

check_entry() { # WHAT WHERE TYPE OPTIONS DUMP PASS
    case $2 in
    /* | none | swap) ;;
    *) die "entries: '$2' is not a mount point" "an absolute path, or none for swap" ;;
    esac
    case $3,$2 in
    swap,/*) die "entries: swap is not mounted on '$2'" "write none there" ;;
    swap,*) ;;
    *,/*) ;;
    *) die "entries: a $3 is mounted on a folder, not on '$2'" ;;
    esac
    case $5$6 in
    [01][012]) ;;
    *) die "entries: '$5 $6' of $2 are not a dump (0, 1) and a pass (0, 1, 2)" ;;
    esac
}

pass_of() { # WHERE TYPE: the order in which fsck looks at it
    case $2,$1 in
    ext[234],/ | f2fs,/ | vfat,/) echo 1 ;;
    ext[234],* | f2fs,* | vfat,*) echo 2 ;;
    *) echo 0 ;;
    esac
}

write_entries() {
    echo '# <what> <where> <type> <options> <dump> <pass>'
    printf '%s\n' "$ENTRIES" | while read -r what where type options dump pass more; do
        [ -n "$what" ] || continue
        [ -z "$more" ] || die "entries: '$what $where' has more than six fields" "a blank in a path is written \\040"
        pass=${pass:-$(pass_of "$where" "$type")}
        check_entry "$what" "$where" "$type" "${options:-defaults}" "${dump:-0}" "$pass"
        printf '%s %s %s %s %s %s\n' "$what" "$where" "$type" "${options:-defaults}" "${dump:-0}" "$pass"
    done
}

need_root
content=$(write_entries)
twice=$(printf '%s\n' "$content" | awk '$2 ~ "^/" && seen[$2]++ { print $2 }')
[ -z "$twice" ] || die "entries: two are mounted on $twice" "keep one"
printf '%s\n' "$content" | awk '$2 ~ "^/" { print $2 }' | while read -r where; do
    folder=$(printf '%b' "$where") # \040 is a blank
    [ -d "$folder" ] || mkdir -p "$folder"
done
if [ "$(cat "$FILE" 2>/dev/null || :)" != "$content" ]; then
    printf '%s\n' "$content" | replace_file "$FILE"
    info "$FILE written"
fi
info "$(($(printf '%s\n' "$content" | wc -l) - 1)) entries in $FILE"
