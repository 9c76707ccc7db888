EAPI=8

inherit standin

DESCRIPTION="A program that greets, and a service that lets it"
IUSE="loud"
RDEPEND="app-misc/greeting"

src_compile() {
	${CC:-cc} ${CFLAGS} $(usex loud -DLOUD "") -o hello-standin "${FILESDIR}/hello.c" || die
}

src_install() {
	dobin hello-standin
	newinitd "${FILESDIR}/hello.init" hello
}
