#!/bin/bash
# docker/try.sh [--keep]        - builds the images, starts docker/compose.yaml, runs SQL at the source, waits until the reshaped
#                                 rows are at the destination, kills both daemons once, and takes everything down again;
#                                 --keep leaves it running and tells how to reach it. Exit 0 only if all of it worked.
# docker/try.sh --secrets DIR   - writes new secrets for compose.yaml into DIR, nothing else.
#
# Needs a running Docker engine, and `docker compose` or docker-compose. Images come from the registry; where that cannot be
# reached, stand-ins are made from Debian's packages (debootstrap, which wants root): rowtide-try-debian, -mariadb, -postgres.
# ROWTIDE_BUILD_NETWORK=host builds with the host's network, BASE_IMAGE=... on another Debian 12 image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

make_secrets() {
    local name
    secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
    mkdir -p "$1"
    # Compose shows such a file with its own mode to a process that is not its owner: the directory protects it here.
    chmod 700 "$1"
    for name in mariadb_root_password source_password postgres_password destination; do
        [[ ! -e $1/$name ]] || { echo "try.sh: $1/$name exists" >&2; return 1; }
    done
    for name in mariadb_root_password source_password postgres_password; do secret >"$1/$name"; done
    printf '[crm]\nhost=postgres\ndbname=crm\nuser=rowtide\npassword=%s\n' "$(secret)" >"$1/destination"
    chmod 444 "$1"/*_password "$1/destination"
}

keep=""
case "${1:-}" in
    "") ;;
    --keep) keep=yes ;;
    --secrets) make_secrets "${2:?DIR is missing}"; exit ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; [[ $1 == --help ]] && exit 0; exit 2 ;;
esac

began=$SECONDS step=0 work="" ok="" up=""
say() { step=$((step + 1)); printf '\n[%d/7] %s\n' "$step" "$*"; }
die() { echo "try.sh: $*" >&2; exit 1; }
docker version >/dev/null 2>&1 || die "no Docker engine answers here ($(docker version 2>&1 | tail -n 1))"
if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
elif command -v docker-compose >/dev/null; then
    compose=(docker-compose)
else
    die "neither 'docker compose' nor docker-compose is installed"
fi
project=rowtide-try
dc() { "${compose[@]}" -p "$project" -f compose.yaml "$@"; }
quiet() {        # CMD...: its output only when it fails
    "$@" >"$work/log" 2>&1 </dev/null || { tail -n 40 "$work/log" >&2; die "failed: $*"; }
}
finish() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [[ -n $up && -z $ok ]]; then
        printf '\ntry.sh: it did not work. Containers, and the last lines of each:\n' >&2
        { dc ps; dc logs --no-color --tail=15; } >&2 || true
    fi
    if [[ -n $up && ( -z $ok || -z $keep ) ]]; then
        dc down --volumes --remove-orphans >"$work/log" 2>&1 || { cat "$work/log" >&2; [[ $code -ne 0 ]] || code=1; }
        echo "removed the containers, networks and volumes of $project (its images stay, as a cache)"
    fi
    [[ -z $work || ( -n $ok && -n $keep ) ]] || rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
[[ -z $(docker ps -aq --filter "label=com.docker.compose.project=$project") ]] ||
    die "containers of $project are there already; remove them: ${compose[*]} -p $project -f $PWD/compose.yaml down --volumes"
work=$(mktemp -d "${TMPDIR:-/tmp}/rowtide-try.XXXXXX")

say "images of Debian, MariaDB and PostgreSQL"
have() { docker image inspect "$1" >/dev/null 2>&1 || timeout 120 docker pull -q "$1" >/dev/null 2>&1; }
build() {        # IMAGE CONTEXT OPTION...
    local image=$1 context=$2
    shift 2
    quiet docker build --network "${ROWTIDE_BUILD_NETWORK:-default}" --build-arg BASE_IMAGE="$BASE_IMAGE" -t "$image" "$@" "$context"
}
base_image() {
    [[ -z ${BASE_IMAGE:-} ]] || return 0
    BASE_IMAGE=debian:12
    have "$BASE_IMAGE" && return
    BASE_IMAGE=rowtide-try-debian
    docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 && return
    echo "debian:12 cannot be had from the registry: making $BASE_IMAGE with debootstrap"
    command -v debootstrap >/dev/null || die "debootstrap is not installed"
    [[ $(id -u) -eq 0 ]] || die "debootstrap needs root"
    quiet debootstrap --variant=minbase bookworm "$work/debian"
    tar -C "$work/debian" --exclude='./var/cache/apt/archives/*.deb' --exclude='./var/lib/apt/lists/*' --exclude='./dev/*' -c . |
        docker import - "$BASE_IMAGE" >/dev/null
    rm -rf "$work/debian"
}
# The stand-ins know as much of the official images' conventions as compose.yaml uses.
stand_in_mariadb() {
    mkdir "$work/mariadb"
    cat >"$work/mariadb/entrypoint" <<'ENTRYPOINT'
#!/bin/bash
set -euo pipefail
server=(mariadbd --no-defaults --datadir=/var/lib/mysql --socket=/run/mysqld/mysqld.sock "$@")
if [[ ! -e /var/lib/mysql/ready ]]; then
    mariadb-install-db --no-defaults --datadir=/var/lib/mysql --skip-test-db --auth-root-authentication-method=normal >/dev/null
    "${server[@]}" --skip-networking &
    sql() { mariadb --no-defaults --socket=/run/mysqld/mysqld.sock -u root "$@"; }
    for _ in {1..300}; do sql -e "SELECT 1" >/dev/null 2>&1 && break; sleep 0.1; done
    password=$(<"$MARIADB_PASSWORD_FILE") root=$(<"$MARIADB_ROOT_PASSWORD_FILE")
    sql -e "SET sql_log_bin = 0; CREATE USER $MARIADB_USER@'%' IDENTIFIED BY '$password'"
    for file in /docker-entrypoint-initdb.d/*.sql; do sql <"$file"; done
    sql -e "SET sql_log_bin = 0; ALTER USER root@localhost IDENTIFIED BY '$root'"
    kill %1
    wait %1
    touch /var/lib/mysql/ready
fi
exec "${server[@]}" --bind-address=0.0.0.0
ENTRYPOINT
    cat >"$work/mariadb/Dockerfile" <<'DOCKERFILE'
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mariadb-server-core mariadb-client-core \
    && rm -rf /var/lib/apt/lists/* && useradd --uid 999 --no-create-home --home-dir /var/lib/mysql mysql \
    && install -d -o mysql -g mysql /var/lib/mysql && install -d -m 1777 /run/mysqld
COPY --chown=root:root entrypoint /usr/local/bin/
RUN chmod 755 /usr/local/bin/entrypoint
VOLUME /var/lib/mysql
ENTRYPOINT ["entrypoint"]
DOCKERFILE
    build rowtide-try-mariadb "$work/mariadb"
}
stand_in_postgres() {
    mkdir "$work/postgres"
    cat >"$work/postgres/entrypoint" <<'ENTRYPOINT'
#!/bin/bash
set -euo pipefail
if [[ ! -e $PGDATA/ready ]]; then
    initdb -U postgres -A scram-sha-256 --auth-local=trust --pwfile="$POSTGRES_PASSWORD_FILE" -E UTF8 --locale=C.UTF-8 >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl -w -o "-c listen_addresses=''" start >/dev/null
    psql -X -q -U postgres -c "CREATE DATABASE $POSTGRES_DB"
    for file in /docker-entrypoint-initdb.d/*.sql; do psql -X -q -v ON_ERROR_STOP=1 -U postgres -d "$POSTGRES_DB" -f "$file"; done
    pg_ctl -w stop >/dev/null
    touch "$PGDATA/ready"
fi
exec postgres -c listen_addresses='*'
ENTRYPOINT
    cat >"$work/postgres/Dockerfile" <<'DOCKERFILE'
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN mkdir -p /etc/postgresql-common/createcluster.d \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/none.conf && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data && install -d -m 1777 /run/postgresql
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data
COPY --chown=root:root entrypoint /usr/local/bin/
RUN chmod 755 /usr/local/bin/entrypoint
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["entrypoint"]
DOCKERFILE
    build rowtide-try-postgres "$work/postgres"
}
base_image
export ROWTIDE_MARIADB_IMAGE=${ROWTIDE_MARIADB_IMAGE:-mariadb:10.11} ROWTIDE_POSTGRES_IMAGE=${ROWTIDE_POSTGRES_IMAGE:-postgres:15}
have "$ROWTIDE_MARIADB_IMAGE" || { stand_in_mariadb; ROWTIDE_MARIADB_IMAGE=rowtide-try-mariadb; }
have "$ROWTIDE_POSTGRES_IMAGE" || { stand_in_postgres; ROWTIDE_POSTGRES_IMAGE=rowtide-try-postgres; }
echo "$BASE_IMAGE, $ROWTIDE_MARIADB_IMAGE, $ROWTIDE_POSTGRES_IMAGE"

say "images of rowtide-capture and rowtide-apply"
build rowtide-capture .. -f capture.Dockerfile
build rowtide-apply .. -f apply.Dockerfile
docker images --format '{{.Repository}}  {{.Size}}' | grep -E '^rowtide-(capture|apply) '
for image in rowtide-capture rowtide-apply; do
    docker run --rm --network none --read-only "$image" --version
    missing=$(docker run --rm --network none --read-only --entrypoint bash "$image" -c 'ldd /usr/bin/rowtide*' | grep 'not found' || true)
    [[ -z $missing ]] || die "$image lacks libraries: $missing"
done

say "compose: $("${compose[@]}" version --short)"
export ROWTIDE_SECRETS=$work/secrets
make_secrets "$ROWTIDE_SECRETS"
up=yes
quiet dc up -d --no-build
mariadb=$(dc ps -q mariadb) postgres=$(dc ps -q postgres) capture=$(dc ps -q capture) apply=$(dc ps -q apply)
healthy() {      # waits until all four are
    local c state
    for c in "$mariadb" "$postgres" "$capture" "$apply"; do
        for _ in {1..120}; do
            state=$(docker inspect -f '{{.State.Health.Status}}' "$c")
            [[ $state != healthy ]] || break
            sleep 0.5
        done
        [[ $state == healthy ]] || die "$(docker inspect -f '{{.Name}}' "$c") is $state"
    done
}
healthy
for c in "$mariadb" "$postgres" "$capture" "$apply"; do
    docker inspect -f '{{.Name}} {{.State.Health.Status}}' "$c" | tr '\n' ' '
    docker exec "$c" bash -c '[[ $(id -u) -ne 0 ]] && ! touch /probe 2>/dev/null && grep -q "^CapEff:[[:space:]]*0*$" /proc/self/status' ||
        die "it is root, has capabilities, or can write its root filesystem"
    echo "uid $(docker exec "$c" id -u), read-only, no capabilities"
done
for name in mariadb_root_password source_password postgres_password; do echo "$(<"$ROWTIDE_SECRETS/$name")"; done >"$work/passwords"
sed -n 's/^password=//p' "$ROWTIDE_SECRETS/destination" >>"$work/passwords"
for c in "$mariadb" "$postgres" "$capture" "$apply"; do
    docker inspect "$c" >"$work/inspect"
    ! grep -qFf "$work/passwords" "$work/inspect" || die "docker inspect shows a password"
    ! docker logs "$c" 2>&1 | grep -qFf "$work/passwords" || die "a log shows a password"
done

maria() {
    docker exec -i "$mariadb" bash -c 'MYSQL_PWD=$(</run/secrets/mariadb_root_password) exec mariadb --default-character-set=utf8mb4 -u root "$@"' - "$@" </dev/null
}
pg() { docker exec -i "$postgres" psql -X -q -v ON_ERROR_STOP=1 -U postgres -d crm "$@" </dev/null; }
# Prints the time at which a condition came true at the destination.
wait_for() {
    pg -At -c "CREATE FUNCTION pg_temp.wait_for(condition text) RETURNS double precision LANGUAGE plpgsql AS \$\$
        DECLARE seen boolean := false; stop timestamptz := clock_timestamp() + '60 s';
        BEGIN
            LOOP
                BEGIN EXECUTE 'SELECT ' || condition INTO seen; EXCEPTION WHEN undefined_table OR undefined_column THEN seen := false; END;
                EXIT WHEN seen;
                IF clock_timestamp() > stop THEN RAISE 'waited a minute for: %', condition; END IF;
                PERFORM pg_sleep(0.002);
            END LOOP;
            RETURN extract(epoch FROM clock_timestamp());
        END \$\$" -c "SELECT pg_temp.wait_for(\$q\$$1\$q\$)"
}
live() {         # CONDITION SQL: runs SQL at the source while somebody watches for the condition at the destination
    local watcher committed seen
    wait_for "$1" >"$work/seen" &
    watcher=$!
    sleep 0.5
    committed=$(maria -NB shop -e "$2; SELECT UNIX_TIMESTAMP(NOW(6))" | tail -n 1)
    wait "$watcher" || die "the rows did not arrive: $2"
    seen=$(<"$work/seen")
    awk -v a="$committed" -v b="$seen" -v sql="$2" 'BEGIN { d = (b - a) * 1000; printf "  %-92s %6.1f ms\n", sql, d < 0 ? 0 : d }'
}

say "rows from before, then live changes: statement at the source, time until its rows are visible at the destination"
wait_for "(SELECT count(*) = 2 FROM crm.people) AND (SELECT count(*) = 2 FROM crm.order_events)" >/dev/null
live "EXISTS (SELECT FROM crm.people WHERE full_name = 'Alan Turing')" \
    "INSERT INTO customers (first_name, last_name, email) VALUES ('Alan', 'Turing', 'alan@example.net')"
live "EXISTS (SELECT FROM crm.orders WHERE total = 42.50)" "INSERT INTO orders (customer_id, amount) VALUES (3, 42.50)"
live "EXISTS (SELECT FROM crm.order_events WHERE status = 'paid')" "UPDATE orders SET status = 'paid' WHERE id = 1"
live "NOT EXISTS (SELECT FROM crm.orders WHERE order_id = 2)" "DELETE FROM orders WHERE id = 2"
live "EXISTS (SELECT FROM crm.people WHERE person_id = 2 AND points = 10)" \
    "ALTER TABLE customers ADD COLUMN points INT; UPDATE customers SET points = 10 WHERE id = 2"

say "both daemons killed while 1000 orders are written, and started again"
docker kill "$apply" >/dev/null
maria shop -e "INSERT INTO orders (customer_id, amount) SELECT 3, seq FROM seq_1_to_500"
docker kill "$capture" >/dev/null
maria shop -e "INSERT INTO orders (customer_id, amount) SELECT 3, seq FROM seq_501_to_1000"
docker start "$capture" "$apply" >/dev/null
wait_for "(SELECT count(*) >= 1002 FROM crm.orders)" >/dev/null
healthy
sums() { maria -NB shop -e "SELECT CONCAT_WS('|', COUNT(*), SUM(id), SUM(amount)) FROM orders"; }
[[ $(sums) == "$(pg -At -c 'SELECT count(*), sum(order_id), sum(total) FROM crm.orders')" ]] || die "the orders differ"
events=$(pg -At -c "SELECT count(*) FROM crm.order_events")
[[ $events -eq 1004 ]] || die "crm.order_events has $events rows, not 1004: something came twice, or not at all"
echo "all there, each once: $(sums) (count, sum of ids, sum of amounts), $events order_events"

say "the destination, and how far it is"
pg -c "SELECT person_id, full_name, email, email_domain, points FROM crm.people ORDER BY 1" \
    -c "SELECT order_id, person_id, total, status FROM crm.orders ORDER BY 1 LIMIT 4" \
    -c "SELECT event, order_id, status FROM crm.order_events ORDER BY 1 LIMIT 4"
docker exec "$apply" rowtide status /var/lib/rowtide/shop
docker exec "$apply" bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET /metrics HTTP/1.0\r\n\r\n" >&3; grep "^rowtide_slot_lag" <&3'

if [[ -n $keep ]]; then
    ok=yes
    cat <<KEPT

Left running. In $PWD, with
    export ROWTIDE_SECRETS=$ROWTIDE_SECRETS ROWTIDE_MARIADB_IMAGE=$ROWTIDE_MARIADB_IMAGE ROWTIDE_POSTGRES_IMAGE=$ROWTIDE_POSTGRES_IMAGE
  the source        docker exec -it $(docker inspect -f '{{slice .Name 1}}' "$mariadb") bash -c 'MYSQL_PWD=\$(</run/secrets/mariadb_root_password) mariadb -u root shop'
  the destination   docker exec -it $(docker inspect -f '{{slice .Name 1}}' "$postgres") psql -U postgres crm
  how far it is     ${compose[*]} -p $project exec apply rowtide status /var/lib/rowtide/shop
  what they say     ${compose[*]} -p $project logs -f capture apply
  end it            ${compose[*]} -p $project down --volumes && rm -rf $work
KEPT
    exit 0
fi

say "stopping"
stopping=$SECONDS
quiet dc stop
for c in "$mariadb" "$postgres" "$capture" "$apply"; do
    code=$(docker inspect -f '{{.State.ExitCode}}' "$c")
    [[ $code -eq 0 ]] || die "$(docker inspect -f '{{.Name}}' "$c") ended with $code when it was asked to stop"
done
echo "all four ended with 0 within $((SECONDS - stopping)) s"
ok=yes
printf 'It works: %d s in all.\n' $((SECONDS - began))
