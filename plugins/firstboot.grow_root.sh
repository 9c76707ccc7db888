#!/bin/sh
# Let the root file system grow into the whole card at the first boot: an image is as small as its content,
# cards are not. A systemd service does it once and then disables itself. It grows what has nothing
# behind it, with MBR and GPT, and touches nothing where there is nothing to gain.
set -euf
KANTOO_NAME=firstboot.grow_root
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh
# shellcheck source=plugins/lib/bash/apt.sh
. /entropy/plugins/apt.sh

PROGRAM=/usr/local/sbin/grow-root
UNIT=/etc/systemd/system/grow-root.service
export LC_ALL=C.UTF-8

in_sectors() { # 512M
    case $1 in
    *K) echo $((${1%K} * 2)) ;;
    *M) echo $((${1%M} * 2048)) ;;
    *G) echo $((${1%G} * 2097152)) ;;
    *) echo $((($1 + 511) / 512)) ;;
    esac
}

install_tools() {
    set --
    command -v sfdisk >/dev/null || set -- "$@" fdisk
    command -v resize2fs >/dev/null || set -- "$@" e2fsprogs
    [ $# -eq 0 ] || apt_install "$@"
}

write_program() {
    cat <<'END'
#!/bin/sh
# Let the partition and file system of / grow into the free space behind it. Made by firstboot.grow_root.
# grow-root [DEVICE]: the partition; that of / when not given.
set -eu
LEAVE_SECTORS=@LEAVE@
ALIGN_SECTORS=8192 # 4 MiB: less is not worth it
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

stop() { echo "grow-root: $*"; exit 0; }

part=${1:-$(findmnt --noheadings --output=SOURCE / | sed 's/\[.*//')}
part=$(readlink -f "$part")
name=${part##*/}
about=/sys/class/block/$name
[ -e "$about/partition" ] || stop "$part is not a partition"
number=$(cat "$about/partition")
disk=$(readlink -f "$about/..")
disk=${disk##*/}

start=$(cat "$about/start") # in sectors of 512 bytes, whatever the disk's own are
size=$(cat "$about/size")
end=$(cat "/sys/class/block/$disk/size")
table=$(sfdisk --dump "/dev/$disk" | sed -n 's/^label: //p')
[ "$table" != gpt ] || end=$((end - 34)) # the second copy of the table stands there
for other in "/sys/class/block/$disk/"*/start; do
    [ -e "$other" ] || continue
    begin=$(cat "$other")
    if [ "$begin" -gt "$start" ] && [ "$begin" -lt "$end" ]; then
        end=$begin
    fi
done
end=$((end - LEAVE_SECTORS))
# MBR holds 32 bits
[ "$table" = gpt ] || [ "$end" -le 4294967295 ] || end=4294967295
gain=$((end - start - size))

if [ "$gain" -ge "$ALIGN_SECTORS" ]; then
    # --force: the disk is in use, as it must be. Only the size of one entry changes; type, flags and ids stay.
    [ "$table" != gpt ] || sfdisk --quiet --force --no-reread --relocate gpt-bak-std "/dev/$disk"
    echo "$start,$((end - start))" |
        sfdisk --quiet --force --no-reread --no-tell-kernel --partno "$number" "/dev/$disk"
    partx --update --nr "$number" "/dev/$disk"
    echo "grow-root: $part has $((gain / 2048)) MiB more"
else
    echo "grow-root: there is no free space behind $part"
fi

# also when a boot was cut off between the two
case $(blkid --probe --output value --match-tag TYPE "$part") in
ext2 | ext3 | ext4) resize2fs "$part" ;;
*) stop "the file system of $part is none that resize2fs knows" ;;
esac
END
}

write_unit() {
    cat <<END
[Unit]
Description=Growth of the root partition to the size of the disk
DefaultDependencies=no
After=systemd-remount-fs.service
Before=local-fs.target shutdown.target
Conflicts=shutdown.target
ConditionPathExists=$PROGRAM

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$PROGRAM
# done: a card that moves to another reader keeps its size
ExecStartPost=/bin/systemctl --no-reload disable grow-root.service

[Install]
WantedBy=local-fs.target
END
}

put() { # FILE MODE: its content on stdin
    content=$(cat)
    [ "$(cat "$1" 2>/dev/null || :)" != "$content" ] || return 0
    mkdir -p "${1%/*}"
    printf '%s\n' "$content" | replace_file "$1"
    chmod "$2" "$1"
    info "$1 written"
}

need_root
need systemctl "install systemd in a step before"
case $LEAVE in
'' | [!0-9]* | *[!0-9KMG]*) die "leave: '$LEAVE' is not a size" "such as 512M" ;;
esac
install_tools
write_program | sed "s/@LEAVE@/$(in_sectors "$LEAVE")/" | put "$PROGRAM" 0755
write_unit | put "$UNIT" 0644
systemctl --quiet --root=/ enable grow-root.service
info "/ grows at the first boot"
