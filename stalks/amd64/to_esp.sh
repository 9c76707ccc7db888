#!/bin/sh -e
# Bring the kernel of version $1 to the EFI system partition, with its initrd and the boot loader.
# Debian calls this for each kernel that is installed, and each initrd that is made.
esp=/boot/efi
mkdir -p $esp/EFI/BOOT
cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi $esp/EFI/BOOT/BOOTX64.EFI
cp "/boot/vmlinuz-$1" $esp/vmlinuz
cp "/boot/initrd.img-$1" $esp/initrd.img
