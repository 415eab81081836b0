#!/bin/sh
# Ingests all events: ./run-ingestion.sh --shards=8
#
# With a Docker engine everything runs in containers (docker-compose.yml). Without one, or with DATABASE_URL set, the program
# is built with Go and brings its own PostgreSQL if DATABASE_URL is not set. Without API_BASE_URL it ingests 3,000,000 events
# from the simulator. --docker and --no-docker decide instead; every other flag is handed on to `sluice run`, and its exit
# code is handed back. Another command comes first: ./run-ingestion.sh status. Only run, sync, follow and backfill start services.
set -eu

say() { printf 'run-ingestion: %s\n' "$*" >&2; }

die() {
	say "$*"
	exit 3 # could not start work, as in the program's own table of exit codes
}

self=$(readlink -f -- "$0" 2>/dev/null) || self=$0
root=$(CDPATH='' cd -- "$(dirname -- "$self")" && pwd -P)

have() { command -v "$1" >/dev/null 2>&1; }

# The engine, not only its client, and with the compose plugin.
engine_answers() {
	have docker && docker version >/dev/null 2>&1 && docker compose version >/dev/null 2>&1
}

# from_container URL: prints the URL with the host's gateway in place of a loopback host.
from_container() {
	case $1 in
	*://*) scheme=${1%%://*}:// ;;
	*) scheme= ;;
	esac
	rest=${1#"$scheme"}
	authority=${rest%%[/?]*}
	address=${authority##*@}
	user=${authority%"$address"}
	case $address in
	'[::1]'*) host='[::1]' ;;
	*) host=${address%%:*} ;;
	esac
	case $host in
	localhost | 127.* | 0.0.0.0 | '[::1]')
		printf '%s%shost.docker.internal%s%s\n' "$scheme" "$user" "${address#"$host"}" "${rest#"$authority"}"
		;;
	*) printf '%s\n' "$1" ;;
	esac
}

# Sets the environment that docker-compose.yml reads, and services: what must be up before the run.
choose_api() {
	if [ -z "${API_BASE_URL:-}" ]; then
		say 'API_BASE_URL is not set: ingesting from the simulator'
		export API_BASE_URL= # empty, and not unset: compose would look into .env
		export SLUICE_DATABASE=sluice_demo TARGET_API_KEY="${TARGET_API_KEY:-demo}"
		services=simulator
		known_limits
		return
	fi
	url=$(from_container "$API_BASE_URL")
	if [ "$url" != "$API_BASE_URL" ]; then
		say "the API is on this machine: containers reach it at $url (--no-docker if it listens on 127.0.0.1 only)"
	fi
	export API_BASE_URL="$url" SLUICE_DATABASE=sluice
	services=
}

# The demo's limits renew ten times as fast as the real ones, which learning would take a minute to find out.
known_limits() {
	if [ "${SLUICE_DEMO_PROFILE:-demo}" = demo ]; then
		export SLUICE_LIST_LIMIT="${SLUICE_LIST_LIMIT:-10/6s}" SLUICE_STREAM_LIMIT="${SLUICE_STREAM_LIMIT:-50/6s}"
	fi
}

choose_database() {
	if [ -z "${DATABASE_URL:-}" ]; then
		say "PostgreSQL 16 in a container, on 127.0.0.1:${SLUICE_PG_PORT:-55432}; it stays up afterwards:"
		say "  docker compose exec postgres psql -U sluice $SLUICE_DATABASE   (looks inside)"
		say "  docker compose --profile '*' stop   (ends it, and the simulator; down --volumes removes the data too)"
		services="postgres $services"
		return
	fi
	DATABASE_URL=$(from_container "$DATABASE_URL") # never printed: it holds a password
	export DATABASE_URL
	alone=--no-deps # no server of ours beside it
}

# Where the page of a run in a container is to be seen on this machine, one run at a time: a second one goes on without.
publish_page() {
	port=${SLUICE_PAGE_PORT-55480}
	export SLUICE_PAGE_URL="http://sluice:8080/" # for those in its network
	[ -n "$port" ] || return 0
	if [ -n "$(docker ps --quiet --filter "publish=$port")" ]; then
		say "127.0.0.1:$port belongs to another container: the page of this run is not published (SLUICE_PAGE_PORT=… chooses another port)"
		return 0
	fi
	export SLUICE_PAGE_URL="http://127.0.0.1:$port/"
	alone="--publish 127.0.0.1:$port:8080 $alone"
}

# Starts the services of a command that ingests. While another such command is in progress they stay as they are: compose would
# recreate the simulator for other --demo settings or a new image, and change the data under that run.
start_services() {
	how=--build
	if [ -n "$(docker ps --quiet --filter label=sluice.ingests)" ]; then
		how=--no-recreate
		simulator=$(docker compose ps --quiet simulator)
		if [ -z "$API_BASE_URL" ] && [ -n "$simulator" ]; then
			wanted="--profile=${SLUICE_DEMO_PROFILE:-demo} --events=${SLUICE_DEMO_EVENTS:-3000000} --seed=${SLUICE_DEMO_SEED:-1}"
			case "$(docker inspect --format '{{join .Args " "}}' "$simulator") " in
			*"$wanted "*) ;;
			*) die "another run is reading the simulator, which serves other data than $wanted: wait until it ends, or stop it" ;;
			esac
		fi
	fi
	# shellcheck disable=SC2086 # a list of words
	docker compose up -d --wait $how $services >&2 || die 'docker compose could not start the services (see above)'
}

# The services of a command that does not ingest are those that are there: it starts, builds and recreates nothing.
find_services() {
	alone=--no-deps
	case $1 in version | help | man | completion | simulate) return ;; esac
	if [ -z "${DATABASE_URL:-}" ] && [ -z "$(docker compose ps --quiet --status running postgres)" ]; then
		die 'PostgreSQL is not running in its container: ./run-ingestion.sh starts it and ingests, docker compose up -d postgres only starts it'
	fi
}

run_in_docker() {
	cd "$root"
	alone=
	case $1 in run | sync | follow | backfill)
		if [ -z "${API_BASE_URL:-}" ] && [ -n "${DATABASE_URL:-}" ] && [ -z "${SLUICE_DEMO_PROFILE:-}${SLUICE_DEMO_EVENTS:-}${SLUICE_DEMO_SEED:-}" ]; then
			say 'API_BASE_URL is not set and DATABASE_URL is: set API_BASE_URL and TARGET_API_KEY, or --demo-profile=demo for invented events in that database'
			exit 2
		fi
		choose_api
		choose_database
		[ -z "$services" ] || start_services
		alone="--build --label sluice.ingests $alone --use-aliases" # Prometheus asks for sluice:8080
		publish_page
		;;
	*)
		choose_api >/dev/null 2>&1
		find_services "$1"
		choose_database >/dev/null 2>&1
		;;
	esac
	# shellcheck disable=SC2086 # some words or none
	exec docker compose run --rm $alone sluice "$@"
}

run_here() {
	binary=$root/.sluice/bin/sluice
	mkdir -p "$root/.sluice/bin"
	(cd "$root" && go build -o "$binary" ./cmd/sluice) || {
		say 'the program could not be built (see above)'
		exit 1
	}
	# From where it stands the program knows the checkout, whose private PostgreSQL it uses.
	case $1 in run | follow) export SLUICE_LISTEN="${SLUICE_LISTEN-127.0.0.1:0}" ;; esac # the page, on a free port
	exec "$binary" "$@"
}

# What the simulator serves is decided when it starts, which is before the run, by the environment.
choose_demo() {
	case $1 in
	--demo-profile=*) export SLUICE_DEMO_PROFILE="${1#*=}" ;;
	--demo-events=*) export SLUICE_DEMO_EVENTS="${1#*=}" ;;
	--demo-seed=*) export SLUICE_DEMO_SEED="${1#*=}" ;;
	esac
}

case ${1:-} in
-* | '') set -- run "$@" ;;
esac

way=auto
for flag do
	shift
	case $flag in
	--docker) way=docker ;;
	--no-docker) way=here ;;
	*)
		choose_demo "$flag"
		set -- "$@" "$flag"
		;;
	esac
done

case $way in
auto)
	way=here
	if [ -z "${DATABASE_URL:-}" ] || ! have go; then
		if engine_answers; then way=docker; fi
	fi
	;;
docker)
	engine_answers || die '--docker: no Docker engine with the compose plugin answers; start Docker, or leave the flag out'
	;;
esac

if [ "$way" = docker ]; then run_in_docker "$@"; fi
have go || die 'neither a Docker engine nor Go is here: install Docker (https://docs.docker.com/get-docker) or Go 1.26 (https://go.dev/dl), then run this again'
run_here "$@"
