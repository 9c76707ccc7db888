#!/bin/sh
# Take out of an image what is not part of it: package lists and downloads, logs, and what must differ from
# machine to machine, such as host keys and the machine id. What other plugins changed for the making
# is put back: dpkg waits for the disk again, and packages may start update-initramfs.
set -euf
KANTOO_NAME=cleanup
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh
export LC_ALL=C

check_arguments() {
    for path in $KEEP $REMOVE; do
        case $path in
        / | */../* | */.. | *//*) die "keep, remove: '$path' is not a path to do that with" ;;
        /*) ;;
        *) die "keep, remove: '$path' is not an absolute path" ;;
        esac
    done
}

is_kept() { # PATH
    for kept in $KEEP; do
        case $1/ in
        "$kept"/*) return 0 ;;
        esac
    done
    return 1
}

delete() { # PATH: and what is in it
    [ -e "$1" ] || [ -L "$1" ] || return 0
    ! is_kept "$1" || return 0
    ! is_docker_mount "$1" || return 0
    rm -rf "$1"
}

delete_below() { # FOLDER FIND-TEST...: files below it; the folders stay, packages want them
    folder=$1
    shift
    [ -d "$folder" ] || return 0
    if [ -z "$(printf '%s' "$KEEP" | tr -d '[:space:]')" ]; then
        find "$folder" -xdev "$@" ! -type d -delete
    else
        find "$folder" -xdev "$@" ! -type d | while IFS= read -r path; do
            delete "$path"
        done
    fi
}

remove_traces_of_packages() {
    delete_below /var/cache/apt
    delete_below /var/lib/apt/lists
    delete_below /var/cache/debconf -name '*-old'
    delete_below /var/lib/dpkg -maxdepth 1 -name '*-old'
    delete /var/cache/ldconfig/aux-cache
    delete_below /var/cache/man
    delete_below /var/cache/edb
}

remove_logs() {
    delete_below /var/log
    delete_below /var/lib/systemd/random-seed
    delete_below /tmp
    delete_below /var/tmp
    # a folder of these may be a mount of the step
    find /tmp /var/tmp -xdev -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || :
    delete_below /run -name '*.pid'
}

remove_identity() {
    # Empty, systemd makes one at the first boot and writes it there; without the file it could not.
    if [ -d /etc/systemd ] || [ -e /etc/machine-id ]; then
        is_kept /etc/machine-id || { [ -e /etc/machine-id ] && [ ! -s /etc/machine-id ]; } || : >/etc/machine-id
    fi
    [ -L /var/lib/dbus/machine-id ] || delete /var/lib/dbus/machine-id
    [ ! -d /etc/ssh ] || delete_below /etc/ssh -maxdepth 1 -name 'ssh_host_*_key*'
    delete /var/lib/systemd/random-seed
    delete /var/lib/systemd/credential.secret
    delete_below /var/lib/dhcp -name '*.leases'
    delete_below /root -maxdepth 1 \( -name '.*_history' -o -name .lesshst -o -name .viminfo -o -name .wget-hsts \)
    for name in /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-; do
        delete "$name"
    done
}

put_back() {
    delete /etc/dpkg/dpkg.cfg.d/build-unsafe-io
    delete /usr/sbin/policy-rc.d
    conf=/etc/initramfs-tools/update-initramfs.conf
    if [ -e "$conf" ] && grep -q 'the plugin cleanup takes it back' "$conf"; then
        if [ -e "$conf.dpkg-dist" ]; then
            mv "$conf.dpkg-dist" "$conf"
        else
            printf 'update_initramfs=yes\nbackup_initramfs=no\n' >"$conf"
        fi
        info "packages may start update-initramfs again"
    fi
    delete_below /etc -name '*.dpkg-dist'
    delete_below /etc -name '*.dpkg-new'
}

need_root
check_arguments
put_back
remove_traces_of_packages
remove_identity
for path in $REMOVE; do
    delete "$path"
done
remove_logs
info "the image holds nothing of its making"
