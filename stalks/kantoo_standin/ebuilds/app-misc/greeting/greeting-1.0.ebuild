EAPI=8

inherit standin

DESCRIPTION="The words that app-misc/hello says"

src_install() {
	insinto /usr/share/greeting
	newins - words <<<"hello from a binary package"
}
