#!/bin/sh
# Put a public key into a user's authorized_keys, or take it out. Keys are distinguished by type and
# content: the comment and the options of one that is there are replaced. sshd ignores the file when
# others can write to it, so folder and file are made private.
set -euf
KANTOO_NAME=ssh.authorized_key
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

NEWLINE='
'

check_key() {
    case $KEY in
    *PRIVATE\ KEY*) die "key: this is a private key" "give the line of the .pub file, and make a new pair: this one is not secret any more" ;;
    esac
    case $KEY$OPTIONS in
    *"$NEWLINE"*) die "key, options: there is a line break in it" "give the one line of the .pub file" ;;
    esac
    case ${KEY%% *} in
    ssh-ed25519 | ssh-rsa | ecdsa-sha2-nistp256 | ecdsa-sha2-nistp384 | ecdsa-sha2-nistp521) ;;
    sk-ssh-ed25519@openssh.com | sk-ecdsa-sha2-nistp256@openssh.com) ;;
    ssh-dss) die "key: sshd no longer takes DSA keys" "make another: ssh-keygen -t ed25519" ;;
    *) die "key: '${KEY%% *}' is not a public key type" "give the line of the .pub file, options apart" ;;
    esac
    blob=${KEY#* }
    blob=${blob%% *}
    case $blob in
    AAAA*) ;;
    *) die "key: what follows ${KEY%% *} is not a public key" ;;
    esac
    case $blob in
    *[!A-Za-z0-9+/=]*) die "key: what follows ${KEY%% *} is not a public key" ;;
    esac
}

lines_with_key() { # the lines of the file that hold the key: it is one word, wherever options put it
    awk '{ for (i = 1; i <= NF; i++) if ($i == ENVIRON["blob"]) { print; next } }' "$file"
}

lines_without_key() {
    awk '{ for (i = 1; i <= NF; i++) if ($i == ENVIRON["blob"]) next; print }' "$file"
}

check_key
export blob
need_root
case $STATE in
present | absent) ;;
*) die "state: '$STATE' is neither present nor absent" ;;
esac
entry=$(getent passwd "$ACCOUNT" || :)
[ -n "$entry" ] || die "account: there is no '$ACCOUNT' in this image" "user.add adds one in a step before"
home=$(printf '%s' "$entry" | cut -d: -f6)
group=$(printf '%s' "$entry" | cut -d: -f4)
[ -d "$home" ] || die "account: $ACCOUNT has no home directory $home"

folder=$home/.ssh file=$home/.ssh/authorized_keys
line=${OPTIONS:+$OPTIONS }$KEY
wanted=''
[ "$STATE" = absent ] || wanted=$line
found=''
[ ! -e "$file" ] || found=$(lines_with_key)
if [ "$found" = "$wanted" ]; then
    info "$ACCOUNT: the key is $STATE already"
    exit 0
fi

if [ ! -d "$folder" ]; then
    mkdir -m 0700 "$folder"
    chown "$ACCOUNT:$group" "$folder"
fi
if [ ! -e "$file" ]; then
    (umask 077 && : >"$file")
    chown "$ACCOUNT:$group" "$file"
fi
{
    lines_without_key
    [ -z "$wanted" ] || printf '%s\n' "$wanted"
} | replace_file "$file"
chmod 0600 "$file"
info "$ACCOUNT: the key is $STATE"
