# @ECLASS: standin.eclass
# @BLURB: What the packages of the stand-in have in common.
# @SUPPORTED_EAPIS: 8

HOMEPAGE="https://example.org/standin"
LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64 arm arm64"
S="${WORKDIR}"
RESTRICT="strip"
