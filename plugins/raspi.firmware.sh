#!/bin/sh
# Fill the boot partition of a Raspberry Pi. What is written is decided by /etc/default/raspi-firmware and
# written by the package's own hook, so an upgrade of the kernel on the board writes the same again.
set -euf
KANTOO_NAME=raspi.firmware
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh
# shellcheck source=plugins/lib/bash/apt.sh
. /entropy/plugins/apt.sh
# shellcheck source=plugins/lib/bash/raspi.sh
. /entropy/plugins/raspi.sh

export LC_ALL=C.UTF-8

check_arguments() {
    case $ROOT in
    *[\'\"\$\`\\]* | *' '*) die "root: '$ROOT' has a character in it that a shell reads" ;;
    PARTUUID=?* | UUID=?* | LABEL=?* | /dev/?*) ;;
    *) die "root: '$ROOT' names no file system" "PARTUUID=..., UUID=..., LABEL=... or /dev/..." ;;
    esac
    for console in $CONSOLES; do
        case $console in
        tty?*) ;;
        *) die "consoles: '$console' is not a console" "such as tty0 or ttyAMA0,115200" ;;
        esac
    done
    is_true wireless "$WIRELESS" || :
    [ -n "$(find /boot -maxdepth 1 -name 'vmlinuz-*')" ] || die "there is no kernel in /boot" "kernel.debian installs one in a step before"
    [ -n "$(find /boot -maxdepth 1 -name 'initrd.img-*')" ] || die "there is no initramfs in /boot" "kernel.debian makes one in a step before"
}

install_firmware() {
    set -- raspi-firmware
    ! is_true wireless "$WIRELESS" || set -- "$@" firmware-brcm80211
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -q -x installed || {
            apt_install "$@"
            is_filled=true
            return
        }
    done
}

settings() {
    cat <<END
# What /boot/firmware/config.txt and cmdline.txt are made of, whenever a kernel is installed.
ROOTPART="$ROOT"
CONSOLES="$(one_line "$CONSOLES")"
CMA="$CMA"
END
}

need_root
need apt-get "raspi.firmware is for Debian and what derives from it"
check_arguments
content=$(settings)
# before the package: its own file gives way to this one, and its hook reads this one at once
[ "$(cat "$RASPI_DEFAULTS" 2>/dev/null || :)" = "$content" ] || printf '%s\n' "$content" >"$RASPI_DEFAULTS"
is_filled=false
install_firmware
# its installation has done it already, a second time would only take time
if [ "$is_filled" = false ] || ! grep -q -F -e "root=$ROOT " /boot/firmware/cmdline.txt 2>/dev/null; then
    raspi_fill_boot
fi
info "/boot/firmware: $(find /boot/firmware -type f | wc -l) files, $(du -s -m /boot/firmware | cut -f1) MiB"
