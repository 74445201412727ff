#!/bin/sh
# Put the version of this folder in the place of the one that runs, and go back by itself when it does not get healthy.
#
#   ./upgrade.sh [--system] [FOLDER]         programs in FOLDER (/opt/cellkeeper), run by cellkeeper.target
#   ./upgrade.sh --compose PROJECT VERSION   the stack of docker compose in the folder PROJECT, images of that tag
#
# Healthy means: every service that was ready before is ready again within UPGRADE_WAIT_S seconds (300), three times in a
# row. What goes back: programs or image tags, compose file, units, and the site's folder. History and journals stay as
# they are: each version reads what the next one writes (docs/deploy.md, "Stored formats").
# Exit code 0: upgraded. 1: refused, nothing was changed. 3: went back, and that is healthy. 4: went back, look at it.
#
#   CELLKEEPER_SITE    the site's folder (/etc/cellkeeper; with compose as PROJECT/.env says, else PROJECT/site)
#   CELLKEEPER_PAGES   loopback ports of the services' pages, without compose ("8420 8421 8422 8423")
#   CELLKEEPER         the command for `init`, with compose (FOLDER/bin/cellkeeper, PROJECT/.venv/bin/cellkeeper)
#   COMPOSE            docker compose, as it is called here; COMPOSE_PROJECT_NAME and COMPOSE_PROFILES as compose has them
#   UPGRADE_SERVICES   services of the stack to start (all)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
wait_s=${UPGRADE_WAIT_S:-300} least_back_s=120 row=3
say() { printf 'upgrade: %s\n' "$*"; }
refuse() { printf 'upgrade: %s; nothing was changed\n' "$*" >&2; exit 1; }

system= compose=
case ${1:-} in
--system) system=--system; shift ;;
--compose) compose=yes; [ $# -ge 3 ] || refuse "--compose needs the project's folder and a version"
    project=$(cd "$2" 2>/dev/null && pwd) || refuse "$2 is no folder"
    wanted=$3; shift 3 ;;
esac
place=${1:-/opt/cellkeeper}

# Make $2 what $1 is, without `state`, touching only files that differ: running containers have folders of it mounted.
same() {
    if [ ! -d "$1" ]; then cmp -s "$1" "$2" || cp -a --remove-destination "$1" "$2"; return; fi
    mkdir -p "$2"
    (cd "$1" && find . -mindepth 1 -type d ! -path './state' ! -path './state/*') | while read -r each; do
        [ -d "$2/$each" ] || mkdir "$2/$each"
        chown --reference "$1/$each" "$2/$each"; chmod --reference "$1/$each" "$2/$each"
    done
    (cd "$1" && find . ! -type d ! -path './state/*') | while read -r each; do
        if cmp -s "$1/$each" "$2/$each" && [ "$(stat -c %a%u%g "$1/$each")" = "$(stat -c %a%u%g "$2/$each")" ]; then continue; fi
        cp -a --remove-destination "$1/$each" "$2/$each"
    done
    (cd "$2" && find . -depth -mindepth 1 ! -path './state' ! -path './state/*') | while read -r each; do
        if [ ! -e "$1/$each" ] && [ ! -L "$1/$each" ]; then rm -rf "${2:?}/$each"; fi
    done
}

# ---- the two ways to run: which are ready, stop, start, what goes aside and comes back

if [ -n "$compose" ]; then
    files="docker-compose.yml deploy dashboards/generated .env"
    source=$here; [ -e "$source/docker-compose.yml" ] || source=$(cd "$here/../.." && pwd)
    set_in_env() { sed -n "s/^$1=//p" "$project/.env" 2>/dev/null | tail -n 1; }
    stack() { (cd "$project" && ${COMPOSE:-docker compose} "$@"); }
    site=${CELLKEEPER_SITE:-$(set_in_env CELLKEEPER_SITE)}; site=${site:-site}
    case $site in /*) ;; *) site=$project/$site ;; esac
    before=$(set_in_env CELLKEEPER_VERSION)
    [ -n "$before" ] || before=$(sed -n 's/.*CELLKEEPER_VERSION:-\([^}]*\)}.*/\1/p' "$project/docker-compose.yml" | head -n 1)
    command=${CELLKEEPER:-}
    for each in "$place/bin/cellkeeper" "$project/.venv/bin/cellkeeper"; do
        [ -n "$command" ] || { [ ! -x "$each" ] || command=$each; }
    done
    [ -x "$command" ] || refuse "the command cellkeeper is not here; name it as CELLKEEPER=/path/to/cellkeeper"
    ready() { # prints the services that are healthy
        for id in $(stack ps --quiet 2>/dev/null); do
            docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$id" 2>/dev/null
        done | sed -n 's/ healthy$//p' | sort | tr '\n' ' '
    }
    stop() { :; } # `up` replaces what changed, one after the other
    # shellcheck disable=SC2086  # several services are several words
    start() { stack up -d --remove-orphans ${UPGRADE_SERVICES:-} >/dev/null 2>&1 || true; } # `healthy` decides
    last_words() { stack logs --no-color --tail 5 2>/dev/null | tail -n 40; }
    for file in "$here"/images/*.tar.gz; do [ ! -e "$file" ] || docker load --quiet --input "$file" >/dev/null; done
    for service in bus-gateway historian balancer analytics; do
        docker image inspect "cellkeeper/$service:$wanted" >/dev/null 2>&1 || refuse "image cellkeeper/$service:$wanted is not here"
    done
    put_new() {
        for each in docker-compose.yml deploy dashboards/generated; do
            [ "$source" = "$project" ] || same "$source/$each" "$project/$each" || return 1
        done
        { grep -v '^CELLKEEPER_VERSION=' "$project/.env" 2>/dev/null || true; echo "CELLKEEPER_VERSION=$wanted"; } >"$project/.env.new" &&
            mv "$project/.env.new" "$project/.env" || return 1
        "$command" init "$site"
    }
    keep_old() {
        rm -rf "$project/before-upgrade"; mkdir -p "$project/before-upgrade/dashboards"
        for each in $files; do [ ! -e "$project/$each" ] || same "$project/$each" "$project/before-upgrade/$each"; done
    }
    put_old() {
        for each in $files; do
            if [ -e "$project/before-upgrade/$each" ]; then same "$project/before-upgrade/$each" "$project/$each"; else rm -f "$project/$each"; fi
        done
    }
else
    site=${CELLKEEPER_SITE:-/etc/cellkeeper}
    [ -x "$place/bin/cellkeeper" ] || refuse "nothing is installed in $place; ./install.sh does that"
    before=$("$place/bin/python" -c 'from importlib.metadata import version; print(version("cellkeeper"))' 2>/dev/null || echo unknown)
    wanted=$(find "$here/wheelhouse" -name 'cellkeeper-[0-9]*.whl' 2>/dev/null | sed 's/.*cellkeeper-\([^-]*\)-.*/\1/')
    [ -n "$wanted" ] || refuse "$here is no unpacked bundle"
    bad=$(cd "$here" && sha256sum -c SHA256SUMS 2>/dev/null | sed -n 's/: FAILED.*//p' | tr '\n' ' ')
    (cd "$here" && sha256sum -c --status SHA256SUMS 2>/dev/null) || refuse "${bad:-a file }is not what SHA256SUMS says; copy the bundle again"
    page='import sys, urllib.request as r
try: r.build_opener(r.ProxyHandler({})).open("http://127.0.0.1:%s/readyz" % sys.argv[1], timeout=3).close()
except OSError: sys.exit(1)'
    ready() { for port in ${CELLKEEPER_PAGES:-8420 8421 8422 8423}; do ! python3 -c "$page" "$port" 2>/dev/null || printf '%s ' "$port"; done; }
    # not the target alone: that is stopped before its services are, and a start then would keep the old ones running
    stop() { systemctl stop cellkeeper.target 'cellkeeper-*.service'; }
    start() { systemctl start cellkeeper.target; }
    last_words() { journalctl --unit 'cellkeeper-*' --lines 40 --no-pager 2>/dev/null || true; }
    units=/etc/systemd/system
    keep_old() { rm -rf "$place.old"; } # install.sh leaves this version there, with its units in share/deploy
    put_new() { "$here/install.sh" $system "$place" && "$place/bin/cellkeeper" init "$site"; }
    put_old() {
        if [ -e "$place.old" ]; then
            rm -rf "$place.failed"; mv "$place" "$place.failed"; mv "$place.old" "$place"
        fi
        [ -n "$system" ] || return 0
        # those of the version that leaves; a unit that somebody wrote here, as for a second gateway, stays
        for each in "$place.failed"/share/deploy/systemd/cellkeeper*; do rm -f "$units/${each##*/}"; done
        install -m 644 -t "$units" "$place"/share/deploy/systemd/*.service "$place"/share/deploy/systemd/*.timer "$place"/share/deploy/systemd/*.target
        [ "$place" = /opt/cellkeeper ] || sed -i "s|/opt/cellkeeper|$place|g" "$units"/cellkeeper*
        systemctl daemon-reload
    }
fi
[ -e "$site/access.toml" ] || refuse "$site is no site folder; name it as CELLKEEPER_SITE"

copy_site() { # all but the state of `cellkeeper up`, which is history
    rm -rf "$2"; mkdir -m 700 "$2" # that of a site is open; what lies in it says who may read it
    same "$1" "$2"
}
healthy() { # seconds; all that were ready before are ready, three times in a row
    end=$(($(date +%s) + $1)) good=0
    while [ "$good" -lt "$row" ]; do
        now=" $(ready) " missing=
        for each in $were; do case $now in *" $each "*) ;; *) missing="$missing $each" ;; esac; done
        if [ -z "$missing" ]; then good=$((good + 1)); else good=0; fi
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 2
    done
}

[ -z "$compose" ] || [ "$before" != "$wanted" ] || refuse "version $wanted runs already"
were=$(ready)
say "from $before to $wanted; ready before: ${were:-nothing}"
[ -n "$were" ] || refuse "no service is ready, so nobody could say whether the new version works; see cellkeeper doctor"
copy_site "$site" "$site.before-upgrade"
keep_old
say "the site's folder as it was: $site.before-upgrade"

went=
if put_new && stop && start && healthy "$wait_s"; then went=yes; fi
if [ -n "$went" ]; then
    say "done: $were ready with the new version. What there was before stays until the next upgrade"
    exit 0
fi
say "the new version is not healthy within $wait_s s (missing:${missing:- it did not start}); its last words:"
last_words | sed 's/^/    /'
say "going back to $before"
stop || true
put_old
same "$site.before-upgrade" "$site"
start || true
if healthy "$((wait_s > least_back_s ? wait_s : least_back_s))"; then say "went back: $were ready with $before, and the site's folder is as it was"; exit 3; fi
say "went back to $before, but not ready are:${missing:-}; see docs/runbook.md"
exit 4
