#!/bin/sh
# Makes the pictures of the terminal in this directory anew, from real runs in tmux: a private PostgreSQL in a directory of its
# own, the built-in simulator with its limits, a bad record now and then.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
work=$(mktemp -d)
socket=sluice-pictures-$$
cd "$here/../.."
go build -o "$work/sluice" ./cmd/sluice
go build -o "$work/picture" ./cmd/picture
mkdir "$work/here"

cleanup() {
	tmux -L "$socket" kill-server 2>/dev/null || true
	(cd "$work/here" && "$work/sluice" db stop >/dev/null 2>&1) || true
	rm -rf "$work"
}
trap cleanup EXIT INT TERM

# show WIDTH HEIGHT: a terminal of that size, with nothing on it but a prompt.
show() {
	tmux -L "$socket" kill-server 2>/dev/null || true
	sleep 1
	tmux -L "$socket" -f /dev/null new-session -d -x "$1" -y "$2" -s shown -c "$work/here" \
		"env -u NO_COLOR -u CI -u API_BASE_URL -u DATABASE_URL LC_ALL=C.UTF-8 PATH='$work:$PATH' PS1='$ ' sh"
	sleep 1
}

type_in() { tmux -L "$socket" send-keys -t shown "$1" Enter; }

# keep NAME: what stands on the terminal now, without the lines that name this machine's places.
keep() {
	tmux -L "$socket" capture-pane -e -p -J -t shown | grep -v -e "$work" -e '127\.0\.0\.1' | "$work/picture" >"$here/$1.svg"
}

(cd "$work/here" && "$work/sluice" db start >/dev/null 2>&1)
show 96 20
type_in 'clear; sluice run --log-level=warn --shards=8'
sleep 22
keep terminal

show 72 20
type_in 'clear; sluice run --log-level=warn --shards=64 --job=many --from=2026-01-01'
sleep 12
keep terminal-many

show 110 24
type_in 'clear; sluice status 2>/dev/null'
sleep 3
keep status
