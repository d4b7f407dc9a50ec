#!/bin/bash
# binlogs.sh - fetches the binlog files that the servers' own test packages ship, and MariaDB's mariadb-binlog.
# Prints the directory: mysql/ (mysql-testsuite of the sid root) and mariadb/ (mariadb-test, mariadb-test-data of Debian 12)
# with the files, each once, / in their names written as %; bin/mariadb-binlog. Found by the magic, not by the name.
# Cached in ${ROWTIDE_CACHE:-~/.cache/rowtide}/binlogs; nothing of it is part of this repository. Needs root for the sid root.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${ROWTIDE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rowtide}
out=$cache/binlogs
stamp="rowtide binlogs 1"

is_good() { [[ -f $out/rowtide-stamp && "$(cat "$out/rowtide-stamp")" == "$stamp" ]]; }

# What `apt-get download` needs is a package list that names a file that is still there.
download() { # PREFIX... -- PACKAGE...
    local prefix=()
    while [[ $1 != -- ]]; do prefix+=("$1"); shift; done
    shift
    "${prefix[@]}" apt-get -q -o Acquire::Retries=3 download "$@" >"$work/log" 2>&1 && return
    "${prefix[@]}" apt-get -q -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false update >"$work/log" 2>&1
    "${prefix[@]}" apt-get -q -o Acquire::Retries=3 download "$@" >"$work/log" 2>&1
}

# Copies what begins with a binlog's magic (fe or fd, then "bin") out of the packages; of equal files the first.
collect() { # TO DEB...
    local to=$1 deb
    shift
    mkdir -p "$to"
    for deb in "$@"; do
        dpkg --fsys-tarfile "$deb" | /usr/bin/python3 -c '
import hashlib, os, re, sys, tarfile
to, seen_path = sys.argv[1:]
seen = set(open(seen_path).read().split())
packages = tarfile.open(fileobj=sys.stdin.buffer, mode="r|")
for member in packages:
    if not member.isfile() or member.size < 4:
        continue
    f = packages.extractfile(member)
    magic = f.read(4)
    if magic not in (b"\xfebin", b"\xfdbin"):
        continue
    body = magic + f.read()
    digest = hashlib.sha256(body).hexdigest()
    if digest not in seen:
        seen.add(digest)
        name = re.sub(r"^\./usr/(lib|share/mysql)/mysql-test/", "", member.name).replace("/", "%")
        with open(os.path.join(to, name), "wb") as out:
            out.write(body)
open(seen_path, "w").write("\n".join(seen))
' "$to" "$work/seen"
    done
}

make() {
    mkdir -p "$cache"
    exec 9>"$cache/binlogs.lock"
    flock 9
    is_good && return
    work=$(mktemp -d /tmp/rowtide-binlogs.XXXXXX) # the sid root sees /tmp
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    mkdir "$work/mysql" "$work/mariadb" "$work/client"
    touch "$work/seen"
    cd "$work/mysql"
    download "$repo/tests/tools/sid.sh" run -- mysql-testsuite || { tail -n 5 "$work/log" >&2; return 1; }
    cd "$work/mariadb"
    download -- mariadb-test mariadb-test-data || { tail -n 5 "$work/log" >&2; return 1; }
    cd "$work/client"
    download -- mariadb-client || { tail -n 5 "$work/log" >&2; return 1; }
    rm -rf "$out"
    mkdir -p "$out/bin"
    collect "$out/mysql" "$work"/mysql/*.deb
    collect "$out/mariadb" "$work"/mariadb/*.deb
    dpkg -x "$work"/client/*.deb "$work/client/root"
    cp "$work/client/root/usr/bin/mariadb-binlog" "$out/bin/"
    echo "$stamp" >"$out/rowtide-stamp" # last: without it the directory is torn, and made anew
}

is_good || make >&2
echo "$out"
