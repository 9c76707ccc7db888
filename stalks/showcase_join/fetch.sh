#!/usr/bin/env bash
# Get http://server:$PORT/ with nothing but bash: the base has neither wget nor curl.
set -euo pipefail

# helpers for shell scripts: info, warn, die, retry, ...
# shellcheck source=plugins/lib/bash/kantoo.sh
. /entropy/plugins/kantoo.sh

get() {
    { exec 3<>"/dev/tcp/server/$PORT"; } 2>/dev/null || return 1
    printf 'GET / HTTP/1.0\r\nHost: server\r\n\r\n' >&3
    # the body is what follows the first empty line
    sed '1,/^\r*$/d' <&3 >/srv/showcase/fetched.txt
    exec 3>&-
}

# the server was started a moment ago and may not listen yet
retry 100 0.1 get || die "server does not answer on port $PORT" "its own output is in its log"
info "fetched $(wc -c </srv/showcase/fetched.txt) bytes from http://server:$PORT/"
