#!/bin/sh
# Make a signed repository for apt. It holds what the stalks that this one needs have built in the state
# that they are in now, and nothing else: it is made again each time, in a folder of its own.
set -euf
KANTOO_NAME=debian.repository
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

NEW=$INTO.new
KEY_FILE=archive-key.asc
export LC_ALL=C.UTF-8

stop_agent() {
    [ -z "${GNUPGHOME-}" ] || {
        gpgconf --kill all 2>/dev/null || :
        rm -rf "$GNUPGHOME"
    }
}

collect() {
    pool=$NEW/pool/$COMPONENT
    mkdir -p "$pool"
    [ -n "${STALKER_NEEDS-}" ] || die "this stalk needs no other, so there is nothing to put into a repository" "name those that build packages in its node: needs: [ ... ]"
    printf '%s\n' "$STALKER_NEEDS" | while read -r step fingerprint; do
        folder=$EXCHANGE/$fingerprint
        [ -d "$folder" ] ||
            die "what $step has built is not in the store at $EXCHANGE" "build it again: ./stalker run TREE --from $step"
        found=$(find "$folder" -maxdepth 1 -name '*.deb')
        [ -n "$found" ] || continue
        printf '%s\n' "$found" | while read -r package; do
            [ ! -e "$pool/${package##*/}" ] || die "two stalks have built ${package##*/}" "leave one of them out of needs"
            cp "$package" "$pool/"
            info "$step: ${package##*/}"
        done
    done
    [ -n "$(find "$pool" -name '*.deb')" ] || die "none of the stalks that this one needs has built a package"
}

index() {
    cd "$NEW"
    for architecture in $ARCHITECTURES; do
        lists=dists/$SUITE/$COMPONENT/binary-$architecture
        mkdir -p "$lists"
        apt-ftparchive --arch "$architecture" packages "pool/$COMPONENT" >"$lists/Packages"
        gzip -9 -n -k "$lists/Packages"
    done
    apt-ftparchive \
        -o "APT::FTPArchive::Release::Origin=$ORIGIN" -o "APT::FTPArchive::Release::Label=$ORIGIN" \
        -o "APT::FTPArchive::Release::Suite=$SUITE" -o "APT::FTPArchive::Release::Codename=$SUITE" \
        -o "APT::FTPArchive::Release::Components=$COMPONENT" \
        -o "APT::FTPArchive::Release::Architectures=$(one_line "$ARCHITECTURES")" \
        release "dists/$SUITE" >Release
    mv Release "dists/$SUITE/Release"
}

make_key() {
    [ -w "$KEY_STORE/." ] ||
        die "key_store: $KEY_STORE is not there to be written to" \
            "mount a store there, { store: NAME, bind: $KEY_STORE, mode: rw }, or give signing_key a secret of the tree"
    if [ ! -s "$KEY_STORE/signing-key.asc" ]; then
        gpg --quiet --batch --passphrase '' --quick-generate-key "$ORIGIN <archive@localhost>" ed25519 sign never
        (umask 077 && gpg --quiet --batch --armor --export-secret-keys >"$KEY_STORE/.signing-key.new")
        mv "$KEY_STORE/.signing-key.new" "$KEY_STORE/signing-key.asc"
        info "a signing key was made and is kept in $KEY_STORE"
    fi
    gpg --quiet --batch --import "$KEY_STORE/signing-key.asc"
}

take_key() {
    # a home below /dev: that is in memory, in no image, and gone with the container
    GNUPGHOME=$(mktemp -d /dev/shm/gpg.XXXXXX)
    export GNUPGHOME
    trap stop_agent EXIT
    if [ -n "$SIGNING_KEY" ]; then
        printf '%s\n' "$SIGNING_KEY" | gpg --quiet --batch --import ||
            die "signing_key: gpg does not take it" "it is what gpg --export-secret-keys --armor prints, whole"
    else
        make_key
    fi
    signer=$(gpg --batch --with-colons --list-secret-keys | awk -F: '$1 == "fpr" { print $10; exit }')
    [ -n "$signer" ] || die "signing_key: there is no private key in it" "give what gpg --export-secret-keys --armor prints"
}

sign() {
    folder=$NEW/dists/$SUITE
    gpg --quiet --batch --pinentry-mode loopback --passphrase '' --local-user "$signer" \
        --clearsign --output "$folder/InRelease" "$folder/Release" ||
        die "gpg could not sign" "see above; a key with a passphrase cannot be used here"
    gpg --quiet --batch --pinentry-mode loopback --passphrase '' --local-user "$signer" \
        --armor --detach-sign --output "$folder/Release.gpg" "$folder/Release"
    gpg --quiet --batch --armor --export "$signer" >"$NEW/$KEY_FILE"
    info "signed by $signer"
}

hand_on() {
    new=$EXCHANGE/.$STALKER_FINGERPRINT.part
    rm -rf "$new"
    cp -R "$INTO" "$new"
    rm -rf "${EXCHANGE:?}/$STALKER_FINGERPRINT"
    mv "$new" "$EXCHANGE/$STALKER_FINGERPRINT"
}

need_root
need apt-ftparchive "install apt-utils in a step before"
need gpg "install gpg and gpg-agent in a step before"
[ -w "$EXCHANGE/." ] ||
    die "exchange: $EXCHANGE is not there to be written to" "mount the store that packages are put into: { store: NAME, bind: $EXCHANGE, mode: rw }"
ARCHITECTURES=${ARCHITECTURES:-$(dpkg --print-architecture)}
rm -rf "$NEW"
mkdir -p "$NEW"
collect
index
take_key
sign
rm -rf "$INTO"
mv "$NEW" "$INTO"
hand_on
info "$(find "$INTO/pool" -name '*.deb' | wc -l) packages in $INTO"
