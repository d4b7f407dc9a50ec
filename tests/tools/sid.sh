#!/bin/bash
# sid.sh - a Debian sid root directory, the one place where Debian has libmysqlclient and MySQL's server.
#   sid.sh ensure          makes it where it is missing (about a minute), says what it does
#   sid.sh path            prints where it is
#   sid.sh mariadb         unpacks sid's MariaDB server into /opt/mariadb inside (it conflicts with MySQL's
#                          package), with the plugin for encrypted binlogs
#   sid.sh run CMD ARG...  runs CMD inside, in the current directory; the process keeps this one's pid
# $ROWTIDE_CACHE (default $XDG_CACHE_HOME/rowtide or ~/.cache/rowtide) holds it. `run` mounts this repository and /tmp at
# their own paths, in a mount namespace of its own, so nothing stays mounted. SID_USER=uid:gid drops root. Needs root.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${ROWTIDE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rowtide}
sid=$cache/sid
packages=(gcc libc6-dev cmake ninja-build pkg-config libmysqlclient-dev mysql-server-core mysql-client-core libpq-dev
          liblua5.4-dev libzstd-dev libmicrohttpd-dev libdeflate-dev libssl-dev)
stamp="rowtide sid root 2: ${packages[*]}"

is_good() { [[ -f $sid/rowtide-stamp && "$(cat "$sid/rowtide-stamp")" == "$stamp" ]]; }

need_root() {
    [[ $(id -u) -eq 0 ]] || { echo "sid.sh: $1 needs root (mounts and chroot)" >&2; exit 1; }
}

# in_root DIR SHELL_TEXT: runs the text in DIR with what packages expect mounted, in a private mount namespace.
in_root() {
    # shellcheck disable=SC2016  # expanded by the inner shell
    unshare -m --propagation private bash -euc '
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            sh -euc "$2"' - "$1" "$2" </dev/null
}

ensure() {
    is_good && { echo "sid root: $sid is there"; return; }
    need_root ensure
    mkdir -p "$cache"
    exec 9>"$cache/sid.lock"
    flock 9
    is_good && { echo "sid root: $sid is there"; return; }
    local new log
    new=$(mktemp -d "$cache/sid.new.XXXXXX")
    log=$new.log
    # shellcheck disable=SC2064  # the names of now
    trap "rm -rf --one-file-system '$new' '$log'" EXIT
    chmod 755 "$new"
    echo "sid root: debootstrap into $sid"
    debootstrap --variant=minbase sid "$new" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; return 1; }
    echo "sid root: installing ${packages[*]}"
    in_root "$new" "apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 update
        apt-get -q -y -o Acquire::Retries=3 --no-install-recommends install ${packages[*]}
        apt-get clean" >"$log" 2>&1 || { tail -n 30 "$log" >&2; return 1; }
    echo "127.0.0.1 localhost" >"$new/etc/hosts"
    # Written last: a root without it is torn or of another version, and is made anew.
    echo "$stamp" >"$new/rowtide-stamp"
    if [[ -e $sid ]]; then
        rm -rf --one-file-system "$sid"
    fi
    mv "$new" "$sid"
    echo "sid root: done"
}

# Runs once for a root: a new root begins without it. Renamed into place whole.
mariadb() {
    local key_plugin=usr/lib/mysql/plugin/file_key_management.so
    ensure
    need_root mariadb
    exec 8>"$cache/sid-mariadb.lock"
    flock 8
    local log
    log=$(mktemp)
    # shellcheck disable=SC2016
    [[ -d $sid/opt/mariadb ]] || in_root "$sid" 'new=$(mktemp -d /opt/mariadb.new.XXXXXX) && chmod 755 "$new" && cd "$new"
        packages="mariadb-server-core liburing2"
        apt-get -q -o Acquire::Retries=3 download $packages || {
            apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 update
            apt-get -q -o Acquire::Retries=3 download $packages; }
        for deb in *.deb; do dpkg -x "$deb" .; rm "$deb"; done
        mv usr/lib/*-linux-gnu/* usr/lib/
        LD_LIBRARY_PATH=usr/lib usr/sbin/mariadbd --version
        mv "$new" /opt/mariadb' >"$log" 2>&1 || { tail -n 30 "$log" >&2; rm -f "$log"; return 1; }
    # For encrypted binlogs: of the package with the service, and of the very same version.
    # shellcheck disable=SC2016
    [[ -e $sid/opt/mariadb/$key_plugin ]] || in_root "$sid" 'cd /opt/mariadb && new=$(mktemp -d new.XXXXXX)
        version=$(zcat usr/share/doc/mariadb-server-core/changelog.Debian.gz | sed -n "1s/.*(\(.*\)).*/\1/p")
        (cd "$new" && apt-get -q -o Acquire::Retries=3 download "mariadb-server=$version" && dpkg -x ./*.deb .)
        install -D -m 644 "$new/'"$key_plugin"'" "'"$key_plugin"'.new"
        mv "'"$key_plugin"'.new" "'"$key_plugin"'"
        rm -r "$new"' >"$log" 2>&1 || { tail -n 30 "$log" >&2; rm -f "$log"; return 1; }
    rm -f "$log"
    echo "MariaDB in the sid root: done"
}

run() {
    need_root run
    is_good || { echo "sid.sh: no usable root at $sid; run: tests/tools/sid.sh ensure" >&2; exit 1; }
    mkdir -p "$sid$repo" "$sid/tmp"
    # shellcheck disable=SC2016
    exec unshare -m --propagation private bash -euc '
        sid=$1 repo=$2 user=$3 here=$4; shift 4
        mount --bind /tmp "$sid/tmp"
        mount --rbind /dev "$sid/dev"
        mount --rbind /proc "$sid/proc"
        mkdir -p "$sid$repo"
        mount --bind "$repo" "$sid$repo"
        cd /
        export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
        exec chroot ${user:+--userspec="$user"} "$sid" /usr/bin/env -C "$here" "$@"' \
        - "$sid" "$repo" "${SID_USER:-}" "$(case $PWD in "$repo"|"$repo"/*|/tmp|/tmp/*) echo "$PWD";; *) echo /;; esac)" "$@"
}

case "${1:-}" in
    ensure) ensure ;;
    path) echo "$sid" ;;
    mariadb) mariadb ;;
    run) shift; run "$@" ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
