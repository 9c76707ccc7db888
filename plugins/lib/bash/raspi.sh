# shellcheck shell=sh
# What the plugins for Raspberry Pis share. It is sourced after kantoo.sh:
#
#     . /entropy/plugins/raspi.sh

RASPI_HOOK=/etc/kernel/postinst.d/z50-raspi-firmware
# shellcheck disable=SC2034  # read by who sources this
RASPI_DEFAULTS=/etc/default/raspi-firmware

raspi_fill_boot() { # let the hook of raspi-firmware write /boot/firmware, as after each upgrade of the kernel
    DEB_MAINT_PARAMS=configure "$RASPI_HOOK" || die "the hook of raspi-firmware failed" "see above"
    for name in config.txt cmdline.txt; do
        [ -s "/boot/firmware/$name" ] ||
            die "the hook of raspi-firmware wrote no $name" "it needs a kernel and an initramfs in /boot: kernel.debian in a step before"
    done
}
