#!/bin/sh
# Add settings to config.txt and cmdline.txt. They are rewritten with each kernel, so settings go where
# they are made from. It runs before or after raspi.firmware.
set -euf
KANTOO_NAME=raspi.config
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh
# shellcheck source=plugins/lib/bash/raspi.sh
. /entropy/plugins/raspi.sh

check_arguments() {
    printf '%s\n' "$SETTINGS" | while IFS= read -r line; do
        case $line in
        '' | \[*\]) ;;
        kernel=* | initramfs=*) die "settings: ${line%%=*} is written by raspi.firmware, for the kernel that is installed" ;;
        *=*) [ "${#line}" -le 98 ] || die "settings: '$line' is longer than the 98 characters that the firmware reads of a line" ;;
        *) die "settings: '$line' is not a line of config.txt" "name=value, or [section]" ;;
        esac
    done
    for word in $CMDLINE; do
        case $word in
        root=* | console=*) die "cmdline: ${word%%=*}= is an argument of raspi.firmware" ;;
        esac
    done
}

put() { # FILE: its content on stdin; no content: no file
    content=$(cat)
    if [ -z "$content" ]; then
        rm -f "$1"
    elif [ "$(cat "$1" 2>/dev/null || :)" != "$content" ]; then
        printf '%s\n' "$content" | replace_file "$1"
        info "$1 written"
    fi
}

need_root
check_arguments
printf '%s\n' "$SETTINGS" | sed '/^$/d' | put /etc/default/raspi-firmware-custom
one_line "$CMDLINE" | put /etc/default/raspi-extra-cmdline
if [ -x "$RASPI_HOOK" ]; then
    raspi_fill_boot
else
    info "raspi.firmware is still to come, and will take them"
fi
