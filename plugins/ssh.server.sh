#!/bin/sh
# Install an SSH server for an image of which there will be many copies. Host keys of an image would be the
# same on all of them and known to whoever has it, so none is in it: a service makes them at the first boot.
set -euf
KANTOO_NAME=ssh.server
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh
# shellcheck source=plugins/lib/bash/apt.sh
. /entropy/plugins/apt.sh

UNIT=/etc/systemd/system/ssh-host-keys.service
CONFIG=/etc/ssh/sshd_config.d/10-image.conf
KNOWN_TYPES="rsa ecdsa ed25519"
export LC_ALL=C.UTF-8

check_arguments() {
    [ -n "$(printf '%s' "$KEY_TYPES" | tr -d '[:space:]')" ] || die "key_types: the list is empty" "sshd does not start without a host key"
    for type in $KEY_TYPES; do
        case " $KNOWN_TYPES " in
        *" $type "*) ;;
        *) die "key_types: '$type' is none of $KNOWN_TYPES" ;;
        esac
    done
    is_true password_login "$PASSWORD_LOGIN" || :
    case $ROOT_LOGIN in
    yes | no | prohibit-password) ;;
    *) die "root_login: '$ROOT_LOGIN' is none of yes, no, prohibit-password" ;;
    esac
}

install_server() {
    [ ! -x /usr/sbin/sshd ] || return 0
    # The package makes keys that are not there: here they would be thrown away, and under emulation
    # an RSA key takes half a minute. So it finds files of that name.
    mkdir -p /etc/ssh
    for type in $KNOWN_TYPES; do
        : >"/etc/ssh/ssh_host_${type}_key"
    done
    apt_install openssh-server
}

remove_host_keys() {
    find /etc/ssh -maxdepth 1 -name 'ssh_host_*_key*' -delete
}

put() { # FILE: its content on stdin
    content=$(cat)
    [ "$(cat "$1" 2>/dev/null || :)" != "$content" ] || return 0
    printf '%s\n' "$content" | replace_file "$1"
    info "$1 written"
}

write_config() {
    for type in $KEY_TYPES; do
        echo "HostKey /etc/ssh/ssh_host_${type}_key"
    done
    echo "PermitRootLogin $ROOT_LOGIN"
    if is_true password_login "$PASSWORD_LOGIN"; then
        echo 'PasswordAuthentication yes'
    else
        echo 'PasswordAuthentication no'
        echo 'KbdInteractiveAuthentication no'
    fi
}

write_unit() {
    cat <<END
[Unit]
Description=Host keys of the SSH server
Before=ssh.service
$(for type in $KEY_TYPES; do echo "ConditionPathExists=|!/etc/ssh/ssh_host_${type}_key"; done)

[Service]
Type=oneshot
RemainAfterExit=yes
# a key is made whole beside its place: a board that loses power leaves no half of one
ExecStart=/bin/sh -c 'for type in $(one_line "$KEY_TYPES"); do key=/etc/ssh/ssh_host_\$\${type}_key; [ -s \$\$key ] || { rm -f \$\$key.new \$\$key.new.pub; ssh-keygen -q -t \$\$type -N "" -f \$\$key.new && mv \$\$key.new.pub \$\$key.pub && mv \$\$key.new \$\$key; } || exit 1; done'

[Install]
RequiredBy=ssh.service
END
}

need_root
need apt-get "ssh.server is for Debian and what derives from it"
check_arguments
install_server
remove_host_keys
mkdir -p "${CONFIG%/*}"
write_config | put "$CONFIG"
write_unit | put "$UNIT"
need systemctl "install systemd in a step before"
systemctl --quiet --root=/ enable ssh-host-keys.service ssh.service
info "an SSH server with host keys of its own from the first boot on: $(one_line "$KEY_TYPES")"
