#!/bin/sh
# Install a Debian kernel and make its initramfs. update-initramfs starts some ten thousand processes,
# which takes 25 s on a fast machine and eight minutes under emulation. An image for a known board needs
# none of what it finds out: a list of modules, BusyBox and a script of fifty lines do.
set -euf
KANTOO_NAME=kernel.debian
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh
# shellcheck source=plugins/lib/bash/apt.sh
. /entropy/plugins/apt.sh

CONF=/etc/initramfs-tools/update-initramfs.conf
export LC_ALL=C.UTF-8

install_kernel() {
    # shellcheck disable=SC2153  # the argument
    set -- "$PACKAGE" kmod
    if [ "$INITRAMFS" = small ]; then
        set -- "$@" busybox-static cpio
        # Every package with a trigger for it would start it. The package's own file comes back with cleanup.
        mkdir -p "${CONF%/*}"
        echo 'update_initramfs=no # while the image is made; the plugin cleanup takes it back' >"$CONF"
        export INITRD=No # the kernel's package asks for none
    fi
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -q -x installed || {
            apt_install "$@"
            return
        }
    done
    info "$PACKAGE is there already"
}

newest_kernel() {
    find /boot -maxdepth 1 -name 'vmlinuz-*' | sed 's|^/boot/vmlinuz-||' | sort -V | tail -n 1
}

files_of_modules() { # VERSION: the files of the modules in the order in which they are loaded, by their dependencies
    awk -v wanted="$(one_line "$MODULES")" -v base="/lib/modules/$1/" '
        function name(path) { sub(/^.*\//, "", path); sub(/\.ko(\.[a-z0-9]+)?$/, "", path); gsub(/-/, "_", path); return path }
        function visit(file,    list, count, i) {
            if (file in seen) return
            seen[file] = 1
            count = split(needs[file], list, " ")
            for (i = count; i > 0; i--) visit(list[i])
            print base file
        }
        FILENAME ~ /modules\.builtin$/ { builtin[name($1)] = 1; next }
        { file = $1; sub(/:$/, "", file); $1 = ""; needs[file] = $0; by_name[name(file)] = file }
        END {
            count = split(wanted, list, " ")
            for (i = 1; i <= count; i++) {
                module = list[i]; gsub(/-/, "_", module)
                if (module in by_name) visit(by_name[module])
                else if (!(module in builtin)) { print list[i] > "/dev/stderr"; bad = 1 }
            }
            exit bad
        }
    ' "/lib/modules/$1/modules.builtin" "/lib/modules/$1/modules.dep"
}

write_init() {
    cat <<'END'
#!/bin/busybox sh
# Load what /modules/order says, find the root file system, mount it, go on there.
/bin/busybox mkdir -p /proc /sys /dev /run /root
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc -o nodev,noexec,nosuid proc /proc
mount -t sysfs -o nodev,noexec,nosuid sysfs /sys
mount -t devtmpfs -o nosuid dev /dev
mount -t tmpfs -o nodev,nosuid,mode=0755 run /run

root='' type='' flags='' init=/sbin/init delay_s=60 is_rw='' panic_s='' is_quiet=''
for word in $(cat /proc/cmdline); do
    case $word in
    root=*) root=${word#root=} ;;
    rootfstype=*) type=${word#rootfstype=} ;;
    rootflags=*) flags=,${word#rootflags=} ;;
    rootdelay=* | rootwait=*) delay_s=${word#*=} ;;
    init=*) init=${word#init=} ;;
    rw) is_rw=yes ;;
    ro) is_rw= ;;
    quiet) is_quiet=yes ;;
    panic=*) panic_s=${word#panic=} ;;
    esac
done

say() { echo "initramfs: $*" >/dev/console; }

stop() {
    say "$*"
    cat /proc/partitions >/dev/console
    case $panic_s in
    '') say "a shell; exit restarts the machine"; setsid cttyhack sh; reboot -f ;;
    *) sleep "${panic_s#-}"; reboot -f ;;
    esac
}

bytes() { # DEVICE OFFSET FORMAT: what stands there, as hexdump prints it
    hexdump -v -s "$2" -n 16 -e "$3" "$1" 2>/dev/null
}

with_partuuid() { # PARTUUID: the partition; read from the table itself, the kernel shows it nowhere
    want=$(echo "$1" | tr A-F a-f)
    for entry in /sys/class/block/*/partition; do
        [ -e "$entry" ] || continue
        part=${entry%/partition}
        number=$(cat "$entry")
        disk=$(readlink -f "$part/..")
        disk=/dev/${disk##*/}
        case $want in
        ????????-??)
            found=$(hexdump -v -s 440 -n 4 -e '1/4 "%08x"' "$disk" 2>/dev/null)-$(printf %02x "$number") ;;
        *)
            # the entries of a GPT are 128 bytes each, from the third sector on
            found=$(bytes "$disk" $((1024 + (number - 1) * 128 + 16)) \
                '1/4 "%08x-" 1/2 "%04x-" 1/2 "%04x-" 2/1 "%02x" "-" 6/1 "%02x"') ;;
        esac
        [ "$found" != "$want" ] || { echo "/dev/${part##*/}"; return; }
    done
}

device() { # what root= means, empty while it is not there
    case $root in
    PARTUUID=*) with_partuuid "${root#PARTUUID=}" ;;
    UUID=* | LABEL=*) findfs "$root" 2>/dev/null ;;
    *) [ ! -b "$root" ] || echo "$root" ;;
    esac
}

while read -r module; do
    insmod "/modules/$module" || say "$module could not be loaded"
done </modules/order

[ -n "$root" ] || stop "the kernel's command line has no root="
tenths=0
until found=$(device) && [ -n "$found" ]; do
    [ "$tenths" -lt "$((delay_s * 10))" ] || stop "the root file system $root did not appear within $delay_s s"
    sleep 0.1
    tenths=$((tenths + 1))
done
[ -n "$is_quiet" ] || say "$root is $found"

# Read-only first: systemd looks at the file system before it writes to it. Others get what was asked for,
# and so does the first boot of an image: nobody has written to it, and there is no machine id yet.
mount ${type:+-t "$type"} -o "ro$flags" "$found" /root || stop "$found could not be mounted"
if [ -n "$is_rw" ] &&
    { [ "$init" != /sbin/init ] || [ ! -e /root/lib/systemd/systemd-fsck ] || [ ! -s /root/etc/machine-id ]; }; then
    mount -o remount,rw /root
fi
[ -x "/root$init" ] || [ -L "/root$init" ] || stop "there is no $init in $found"
for folder in dev proc sys run; do
    mount --move "/$folder" "/root/$folder" || stop "there is no /$folder in $found to mount on"
done
exec switch_root /root "$init"
END
}

place_modules() { # VERSION FOLDER
    files_of_modules "$1" >"$2/files" 2>"$2/unknown" ||
        die "modules: kernel $1 has none named $(tr '\n' ' ' <"$2/unknown")" "find /lib/modules/$1 -name '*.ko*' lists them"
    mkdir -p "$2/root/modules"
    while read -r file; do
        target=${file##*/}
        case $file in
        *.xz) xz -dc "$file" >"$2/root/modules/${target%.xz}" ;;
        *.zst) zstd -q -dc "$file" >"$2/root/modules/${target%.zst}" ;;
        *.gz) gzip -dc "$file" >"$2/root/modules/${target%.gz}" ;;
        *) echo "$file" ;;
        esac
    done <"$2/files" | xargs -r cp -t "$2/root/modules"
    sed 's|.*/||; s/\.\(xz\|zst\|gz\)$//' "$2/files" >"$2/root/modules/order"
}

make_initramfs() { # VERSION
    work=$(mktemp -d /tmp/initramfs.XXXXXX)
    mkdir -p "$work/root/bin"
    place_modules "$1" "$work"
    cp /bin/busybox "$work/root/bin/busybox"
    write_init >"$work/root/init"
    chmod 0755 "$work/root/init"
    # the same content, the same bytes
    find "$work/root" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
    (cd "$work/root" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0 --reproducible) |
        gzip -9 -n >"/boot/.initrd.new"
    mv "/boot/.initrd.new" "/boot/initrd.img-$1"
    count=$(wc -l <"$work/files")
    rm -rf "$work"
    info "/boot/initrd.img-$1: $count modules, $(($(wc -c <"/boot/initrd.img-$1") / 1024)) KiB"
}

check_arguments() {
    case $PACKAGE in
    linux-image-?*) ;;
    *) die "package: '$PACKAGE' is not a kernel package" "such as linux-image-arm64" ;;
    esac
    case $INITRAMFS in
    small | debian) ;;
    *) die "initramfs: '$INITRAMFS' is neither small nor debian" ;;
    esac
    for module in $MODULES; do
        case $module in
        -* | *[!A-Za-z0-9_-]*) die "modules: '$module' is not a module name" ;;
        esac
    done
}

need_root
need apt-get "kernel.debian is for Debian and what derives from it"
check_arguments
install_kernel
version=$(newest_kernel)
[ -n "$version" ] || die "there is no kernel in /boot, although $PACKAGE is installed"
[ -e "/lib/modules/$version/modules.dep" ] || depmod "$version"
if [ "$INITRAMFS" = small ]; then
    make_initramfs "$version"
elif [ ! -e "/boot/initrd.img-$version" ]; then
    update-initramfs -c -k "$version"
fi
info "kernel $version"
