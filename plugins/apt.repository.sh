#!/bin/sh
# Let apt take packages from a signed repository. It is verified by its own key and by no other, and
# where packages are named, apt takes those from it and nothing else.
set -euf
KANTOO_NAME=apt.repository
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

SOURCE=/etc/apt/sources.list.d/$NAME.sources
PIN=/etc/apt/preferences.d/$NAME.pref
KEYS=/etc/apt/keyrings/$NAME

check_arguments() {
    case $NAME in
    '' | *[!a-z0-9-]*) die "name: '$NAME' is not a name for files in /etc/apt" "small letters, digits and hyphens" ;;
    esac
    is_true update "$UPDATE" || :
    case $STATE in
    absent) return 0 ;;
    present) ;;
    *) die "state: '$STATE' is neither present nor absent" ;;
    esac
    case $URI,$FROM_NEED in
    ,) die "uri, from_need: neither is given" "say where the repository is" ;;
    ,* | *,) ;;
    *) die "uri, from_need: both are given" "keep one of them" ;;
    esac
    [ -n "$FROM_NEED" ] || [ -n "$KEY" ] || die "key: a repository that nothing verifies is not taken" "give the file of its public key"
}

find_needed() {
    maker=$(needed_fingerprint "$FROM_NEED")
    folder=$EXCHANGE/$maker
    [ -d "$EXCHANGE" ] || die "exchange: there is no $EXCHANGE" "mount the store that the repository was put into"
    [ -d "$folder/dists" ] ||
        die "the repository that $FROM_NEED made is no longer in the store at $EXCHANGE" \
            "somebody removed it; make it again: ./stalker run TREE --from $FROM_NEED"
    URI=file://$folder
    KEY=$folder/archive-key.asc
}

write_key() {
    [ -s "$KEY" ] || die "key: there is no file $KEY, or nothing in it"
    case $(head -c 27 "$KEY" | tr -d '\000') in
    -----BEGIN\ PGP\ PUBLIC*) keyring=$KEYS.asc ;;
    -----BEGIN\ PGP\ PRIVATE*) die "key: $KEY is a private key" "give the public one: gpg --export --armor" ;;
    *) keyring=$KEYS.gpg ;;
    esac
    mkdir -p /etc/apt/keyrings
    cmp -s "$KEY" "$keyring" || replace_file "$keyring" <"$KEY"
}

write_source() {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: %s\n' \
        "$URI" "$SUITE" "$(one_line "$COMPONENTS")" "$keyring"
}

pin() { # what apt tells the repository by
    case $URI in
    file:* | copy:*)
        # these have no host, as what is installed has none
        folder=${URI#*:}
        release=/${folder#"${folder%%[!/]*}"}/dists/$SUITE/InRelease
        origin=$(sed -n 's/^Origin: *//p' "$release" 2>/dev/null || :)
        [ -n "$origin" ] ||
            die "only: $release says no Origin, so apt cannot tell its packages from others" "make the repository with an Origin; debian.repository does"
        printf 'release o=%s' "$origin"
        ;;
    *)
        host=${URI#*://}
        host=${host%%/*}
        host=${host##*@}
        printf 'origin "%s"' "${host%%:*}"
        ;;
    esac
}

write_pin() {
    how=$(pin)
    # 1001: also over a newer version that is there or elsewhere; -1: never
    for package in $ONLY; do
        printf 'Package: %s\nPin: %s\nPin-Priority: 1001\n\n' "$package" "$how"
    done
    printf 'Package: *\nPin: %s\nPin-Priority: -1\n' "$how"
}

put() { # FILE: its content on stdin; says whether it changed
    content=$(cat)
    [ "$(cat "$1" 2>/dev/null || :)" != "$content" ] || return 0
    printf '%s\n' "$content" | replace_file "$1"
    info "$1 written"
}

fetch_lists() { # of this source alone; those of others stay as they are
    retry 3 5 apt-get -q -o APT::Update::Error-Mode=any -o Acquire::Retries=3 -o APT::Get::List-Cleanup=0 \
        -o Dir::Etc::sourcelist="$SOURCE" -o Dir::Etc::sourceparts=- update ||
        die "the lists of $URI could not be fetched" "see above: another place or suite, a key that did not sign it, or no network in this step"
}

remove() {
    if [ ! -e "$SOURCE" ]; then
        info "$NAME is not known to apt, as asked"
        return 0
    fi
    uri=$(sed -n 's/^URIs: //p' "$SOURCE")
    # apt's name for a list is the address without its scheme, with '_' for '/'
    lists=$(printf '%s' "${uri#*://}" | tr / _)
    find /var/lib/apt/lists -maxdepth 1 -name "${lists}_dists_*" -type f -delete
    rm -f "$SOURCE" "$PIN" "$KEYS.asc" "$KEYS.gpg"
    rmdir /etc/apt/keyrings 2>/dev/null || :
    info "$NAME is no longer known to apt"
}

need_root
need apt-get "apt.repository is for Debian and what derives from it"
check_arguments
if [ "$STATE" = absent ]; then
    remove
    exit 0
fi
[ -z "$FROM_NEED" ] || find_needed
write_key
write_source | put "$SOURCE"
if [ -n "$(printf '%s' "$ONLY" | tr -d '[:space:]')" ]; then
    write_pin | put "$PIN"
else
    rm -f "$PIN"
fi
! is_true update "$UPDATE" || fetch_lists
info "apt knows $URI as $NAME"
