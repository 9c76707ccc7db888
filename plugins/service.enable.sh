#!/bin/sh
# Say which services start at boot. No init system runs in a container and none is needed: only the
# links in the file system are made that it will read. Nothing is changed when one name is wrong.
set -euf
KANTOO_NAME=service.enable
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

detect() {
    case $(readlink -f /sbin/init || :) in
    */systemd) echo systemd && return ;;
    */openrc-init) echo openrc && return ;;
    esac
    # /sbin/init of System V starts OpenRC where that is installed
    if command -v rc-update >/dev/null; then
        echo openrc
    elif [ -x /sbin/init ] && command -v update-rc.d >/dev/null; then
        echo sysv
    elif [ -x /usr/lib/systemd/systemd ] || [ -x /lib/systemd/systemd ]; then
        echo systemd
    else
        echo none
    fi
}

systemd_state() { systemctl --root=/ is-enabled -- "$1" 2>/dev/null || :; }
systemd_has() { [ -n "$(systemd_state "$1")" ]; }
systemd_is_enabled() {
    case $(systemd_state "$1") in
    enabled | alias) return 0 ;;
    static) die "services: '$1' cannot be enabled: it has no [Install] section, other units start it" ;;
    masked*) die "services: '$1' is masked" "unmask it in a step before: systemctl --root=/ unmask $1" ;;
    *) return 1 ;;
    esac
}
systemd_is_disabled() {
    case $(systemd_state "$1") in
    enabled | enabled-runtime | alias) return 1 ;;
    esac
}
systemd_enable() { systemctl --root=/ enable -- "$1"; }
systemd_disable() { systemctl --root=/ disable -- "$1"; }

openrc_has() { [ -e "/etc/init.d/$1" ]; }
openrc_is_enabled() { [ -L "/etc/runlevels/$RUNLEVEL/$1" ]; }
openrc_links() { find /etc/runlevels -mindepth 2 -maxdepth 2 -name "$1"; }
openrc_is_disabled() { [ -z "$(openrc_links "$1")" ]; }
openrc_enable() { rc-update add "$1" "$RUNLEVEL"; }
openrc_disable() {
    # `rc-update --all delete` fails for each runlevel that the service is not in
    for link in $(openrc_links "$1"); do
        level=${link%/*}
        rc-update delete "$1" "${level##*/}" || return
    done
}

sysv_has() { [ -e "/etc/init.d/$1" ]; }
sysv_links() { find /etc/rc2.d /etc/rc3.d /etc/rc4.d /etc/rc5.d -name "S[0-9][0-9]$1" 2>/dev/null; }
sysv_is_enabled() { [ -n "$(sysv_links "$1")" ]; }
sysv_is_disabled() { [ -z "$(sysv_links "$1")" ]; }
sysv_enable() { update-rc.d "$1" defaults && update-rc.d "$1" enable; }
sysv_disable() { update-rc.d "$1" defaults && update-rc.d "$1" disable; }

check_arguments() {
    case $STATE in
    enabled) verb=enable ;;
    disabled) verb=disable ;;
    *) die "state: '$STATE' is neither enabled nor disabled" ;;
    esac
    [ -n "$(printf '%s' "$SERVICES" | tr -d '[:space:]')" ] || die "services: the list is empty"
    for service in $SERVICES; do
        case $service in
        -* | *[!A-Za-z0-9@._:-]*) die "services: '$service' is not a service name" ;;
        esac
    done
    case $INIT in
    auto) INIT=$(detect) ;;
    systemd | openrc | sysv) ;;
    *) die "init: '$INIT' is none of auto, systemd, openrc, sysv" ;;
    esac
    case $INIT in
    none) die "there is no init system in this image" "install one in a step before: systemd-sysv, openrc or sysvinit-core" ;;
    systemd) need systemctl "install systemd in a step before" ;;
    openrc)
        need rc-update "install openrc in a step before"
        case $RUNLEVEL in
        '' | *[!a-z0-9]*) die "runlevel: '$RUNLEVEL' is not a runlevel name" ;;
        esac
        [ -d "/etc/runlevels/$RUNLEVEL" ] || die "runlevel: OpenRC has no runlevel '$RUNLEVEL'"
        ;;
    sysv) need update-rc.d "install init-system-helpers in a step before" ;;
    esac
}

need_root
check_arguments
absent=''
for service in $SERVICES; do
    # the question for the state comes before any change too: it ends the step for what can never be
    if "${INIT}_has" "$service"; then
        "${INIT}_is_$STATE" "$service" || :
    else
        absent="$absent $service"
    fi
done
[ -z "$absent" ] || die "services: $INIT knows none named:$absent" "install what brings them in a step before, or correct the name"

for service in $SERVICES; do
    if "${INIT}_is_$STATE" "$service"; then
        info "$service is $STATE already"
        continue
    fi
    "${INIT}_$verb" "$service" || die "$INIT could not $verb $service" "see above"
    "${INIT}_is_$STATE" "$service" || die "$service is still not $STATE, although $INIT said nothing against it"
    info "$service: $STATE"
done
