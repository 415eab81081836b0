#!/bin/sh
# Stands in PATH under the names docker and go, and is the program that the latter builds. Each call is written to $CALLS as
# one line: the arguments, and the variables that matter. The exit codes come from the environment.
case ${0##*/}:$* in # questions, which are no calls that change something
docker:ps*publish=*) printf '%s' "${TAKEN:-}" && exit ;;         # which container has the port of the page
docker:ps*label=sluice.ingests*) printf '%s' "${BUSY:-}" && exit ;; # which container ingests
docker:compose\ ps*) printf '%s' "${RUNNING-5d41402abc4b}" && exit ;; # which container the service runs in
docker:inspect*) printf '%s' "${SERVES:-}" && exit ;;            # what the simulator was started with
esac

{
	printf '%s' "${0##*/}"
	for arg do printf ' [%s]' "$arg"; done
	for name in API_BASE_URL DATABASE_URL SLUICE_DATABASE SLUICE_DEMO_EVENTS SLUICE_DEMO_PROFILE SLUICE_LIST_LIMIT SLUICE_PAGE_URL SLUICE_STREAM_LIMIT TARGET_API_KEY; do
		eval "value=\${$name-unset}"
		[ "$value" = unset ] || printf ' %s=%s' "$name" "$value"
	done
	printf '\n'
} >>"$CALLS"

case ${0##*/}:$1:${2-} in
docker:version:*) exit "$ENGINE" ;;
docker:compose:version) exit "$COMPOSE" ;;
docker:compose:up) echo up-says; pwd >&2; exit "$UP" ;;
docker:compose:run) echo run-says; exit "$RUN" ;;
go:build:-o) [ "$BUILD" = 0 ] || exit "$BUILD"; cp "$0" "$3" ;;
sluice:*) exit "$RUN" ;;
*) exit 99 ;;
esac
