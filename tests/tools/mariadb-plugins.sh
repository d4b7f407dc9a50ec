#!/bin/bash
# mariadb-plugins.sh - MariaDB's key management plugin, which encrypted binlogs need. Debian has it in mariadb-server, which
# would set up a service; the server packages that the tests use (mariadb-server-core) are without it.
#   mariadb-plugins.sh ensure   unpacks it from Debian's package where it is missing or of another version
#   mariadb-plugins.sh path     prints the directory, for --plugin-dir
# $ROWTIDE_CACHE (default $XDG_CACHE_HOME/rowtide or ~/.cache/rowtide) holds it.
set -euo pipefail

version=$(dpkg-query -W -f '${Version}' mariadb-server-core)
dir=${ROWTIDE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rowtide}/mariadb-plugins-${version//[^0-9a-z.+-]/_}

ensure() {
    [[ ! -e $dir/file_key_management.so ]] || { echo "mariadb plugins: $dir is there"; return; }
    mkdir -p "${dir%/*}"
    local new
    new=$(mktemp -d "$dir.new.XXXXXX")
    # shellcheck disable=SC2064  # the name of now
    trap "rm -rf '$new'" EXIT
    # The package lists may be old, and this very version gone: another one of the series fits as well.
    {
        cd "$new"
        apt-get -q download "mariadb-server=$version" ||
            { apt-get -q -o Acquire::Retries=3 update && apt-get -q -o Acquire::Retries=3 download mariadb-server; }
        dpkg -x ./*.deb root
    } >"$new/log" 2>&1 </dev/null || { tail -n 20 "$new/log" >&2; return 1; }
    mkdir "$new/plugins"
    mv "$new/root/usr/lib/mysql/plugin/file_key_management.so" "$new/plugins/"
    chmod 755 "$new/plugins"
    mv -T "$new/plugins" "$dir" 2>/dev/null || [[ -e $dir/file_key_management.so ]] # another one was quicker
    echo "mariadb plugins: unpacked into $dir"
}

case "${1:-}" in
    ensure) ensure ;;
    path) echo "$dir" ;;
    *) echo "usage: mariadb-plugins.sh ensure | path" >&2; exit 2 ;;
esac
