#!/bin/sh
# Renews the pictures of the page in this directory: a test of the page, which needs Chromium, takes them in the middle of a run.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
(cd "$here/../.." && SLUICE_PICTURES=$work go test -count=1 ./cmd/sluice/e2e -run '^TestThePageFollowsARun$')
cp "$work/page.png" "$work/page-dark.png" "$work/page-narrow.png" "$here"
