EAPI=8

inherit standin

DESCRIPTION="A program that greets, and services that let it"
IUSE="loud"
RDEPEND="app-misc/greeting"

src_compile() {
	${CC:-cc} ${CFLAGS} $(usex loud -DLOUD "") -o hello-standin "${FILESDIR}/hello.c" || die
}

src_install() {
	dobin hello-standin
	local name
	for name in hello hello-boot hello-off; do
		newinitd "${FILESDIR}/hello.init" ${name}
	done
	newconfd - hello <<<"# nothing to say about it"
}
