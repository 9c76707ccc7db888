EAPI=8

inherit standin

DESCRIPTION="Files that lie where those of a kernel and its firmware lie; nothing boots from them"

src_install() {
	insinto /boot
	newins - vmlinuz-6.1 <<<"no kernel"
	doins "${FILESDIR}/cmdline.txt"
	insinto /lib/modules/6.1
	newins - modules.order </dev/null
	insinto /lib/firmware
	newins - standin.bin <<<"no firmware"
}
