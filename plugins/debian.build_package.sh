#!/bin/sh
# Build Debian packages from source and hand them on. They go into $EXCHANGE/<fingerprint of this step>/:
# who needs this stalk finds there what was made in this very state, whatever else was built since.
set -euf
KANTOO_NAME=debian.build_package
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

BUILD=/tmp/build # the same in each build: paths may get into what is built
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive TZ=UTC

check_arguments() {
    case $SOURCE,$DSC in
    ,) die "source, dsc: neither is given" "say what to build" ;;
    ,* | *,) ;;
    *) die "source, dsc: both are given" "keep one of them" ;;
    esac
    is_true build_depends "$BUILD_DEPENDS" || :
    [ -z "$DSC" ] || [ -n "$SHA256" ] || die "sha256: nothing verifies $DSC" "give the SHA-256 of the .dsc file"
    [ -z "$SOURCE" ] || [ -f "$SOURCE/debian/control" ] ||
        die "source: there is no $SOURCE/debian/control" "mount the folder, or correct its name"
    [ -w "$EXCHANGE/." ] ||
        die "exchange: $EXCHANGE is not there to be written to" "mount a store there: { store: NAME, bind: $EXCHANGE, mode: rw }"
    [ -n "${STALKER_FINGERPRINT-}" ] || die "STALKER_FINGERPRINT is not set" "run it as a step of a stalk"
}

is_file() { # FILE SHA256
    [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$2  -" ]
}

fetch() { # URI SHA256: into $DOWNLOADS, whole and verified or not at all
    file=$DOWNLOADS/$2/${1##*/}
    is_file "$file" "$2" && return 0
    mkdir -p "$DOWNLOADS/$2"
    new=$DOWNLOADS/$2/.${1##*/}.$STALKER_FINGERPRINT.part
    # apt's own program: nothing else that fetches need be in the image
    retry 3 5 /usr/lib/apt/apt-helper -o Acquire::Retries=3 -o APT::Sandbox::User=root download-file "$1" "$new" ||
        die "$1 could not be fetched" "see above: no network in this step, or the mirror has another version by now"
    is_file "$new" "$2" || {
        found=$(sha256sum <"$new")
        rm -f "$new"
        die "$1 is not the file that was asked for" "its SHA-256 is ${found%% *}, not $2"
    }
    # of a file:// address apt makes a link
    [ ! -L "$new" ] || cp --remove-destination "$(readlink -f "$new")" "$new"
    mv -f "$new" "$file"
}

named_files() { # DSC: 'sha256 name' of each file that a .dsc names
    awk '/^Checksums-Sha256:/ { on = 1; next } /^[^ ]/ { on = 0 } on { print $1, $3 }' "$1"
}

unpack_dsc() {
    fetch "$DSC" "$SHA256"
    dsc=$file
    mkdir "$BUILD/from"
    cp "$dsc" "$BUILD/from/"
    named_files "$dsc" >"$BUILD/named"
    [ -s "$BUILD/named" ] || die "dsc: $DSC names no files with a SHA-256" "is it a Debian source package?"
    while read -r sha256 name; do
        case $name in
        '' | .* | */*) die "dsc: $DSC names a file '$name', which is not allowed" ;;
        esac
        fetch "${DSC%/*}/$name" "$sha256"
        ln -s "$file" "$BUILD/from/$name"
    done <"$BUILD/named"
    # --no-check: whose signature it is does not matter, its SHA-256 is known
    dpkg-source --no-check --extract "$BUILD/from/${DSC##*/}" "$BUILD/tree" || die "dpkg-source could not unpack ${DSC##*/}" "see above"
}

copy_source() {
    cp -R --preserve=mode,timestamps,links "$SOURCE" "$BUILD/tree"
}

add_suffix() {
    [ -n "$VERSION_SUFFIX" ] || return 0
    # the first line of a changelog is `name (version) suite; ...`
    sed -i "1s/)/$VERSION_SUFFIX)/" debian/changelog
}

meet_build_depends() {
    ! is_true build_depends "$BUILD_DEPENDS" || apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 build-dep ./ ||
        die "the packages that it is built with could not be installed" "see above; the lists must be there: apt.install in a step before"
    # -I: build-essential is a list of packages of which C programs need four
    dpkg-checkbuilddeps -I || die "packages that it is built with are missing" "install them in a step before, or say build_depends: true"
}

build() {
    DEB_BUILD_OPTIONS="$(one_line "$OPTIONS") parallel=$(nproc)"
    export DEB_BUILD_OPTIONS
    if [ -n "$CCACHE" ]; then
        need ccache "install it in a step before, or leave out the argument ccache"
        # Debian's links have each compiler's own name, and make calls it cc
        mkdir "$BUILD/bin"
        ln -s /usr/bin/ccache "$BUILD/bin/cc"
        ln -s /usr/bin/ccache "$BUILD/bin/c++"
        export CCACHE_DIR="$CCACHE" PATH="$BUILD/bin:/usr/lib/ccache:$PATH"
    fi
    # What dpkg-buildpackage does, without the lists for an upload that it makes: they take more time than
    # a small package, many times so under emulation.
    architecture=$(dpkg-architecture -s) || die "dpkg-architecture failed" "see above"
    eval "$architecture"
    SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -STimestamp)
    export SOURCE_DATE_EPOCH
    dpkg-source --before-build . || die "dpkg-source could not apply the patches" "see above"
    [ -x debian/rules ] || chmod +x debian/rules
    debian/rules build || die "the build failed" "see above"
    debian/rules binary || die "the packages could not be made" "see above"
}

hand_on() {
    new=$EXCHANGE/.$STALKER_FINGERPRINT.part
    rm -rf "$new"
    mkdir -p "$new"
    find "$BUILD" -maxdepth 1 -name '*.deb' -type f -exec cp {} "$new/" \;
    [ -n "$(find "$new" -name '*.deb')" ] || die "the build ended well, and there is no package"
    # one rename: who reads there finds all packages or none
    rm -rf "${EXCHANGE:?}/$STALKER_FINGERPRINT"
    mv "$new" "$EXCHANGE/$STALKER_FINGERPRINT"
    find "$EXCHANGE/$STALKER_FINGERPRINT" -name '*.deb' | sort | while read -r package; do
        info "made ${package##*/}"
    done
}

need_root
need dpkg-buildpackage "install dpkg-dev, gcc, make and libc6-dev in a step before"
check_arguments
rm -rf "$BUILD"
mkdir -p "$BUILD"
if [ -n "$DSC" ]; then
    unpack_dsc
else
    copy_source
fi
cd "$BUILD/tree"
add_suffix
meet_build_depends
build
hand_on
cd /
rm -rf "$BUILD"
