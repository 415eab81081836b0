#!/bin/sh
# Renews the pictures of the terminal in this directory from real runs in tmux: a private PostgreSQL in a directory of its own, and
# the built-in simulator with its limits and a bad record now and then. Needs tmux; freeze (charmbracelet) draws the pictures.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
work=$(mktemp -d)
socket=sluice-pictures-$$
cd "$here/../.."
go build -o "$work/sluice" ./cmd/sluice
GOBIN="$PWD/bin" go install github.com/charmbracelet/freeze@v0.2.2
freeze=$PWD/bin/freeze
mkdir "$work/here"

cleanup() {
	tmux -L "$socket" kill-server 2>/dev/null || true
	(cd "$work/here" && "$work/sluice" db stop >/dev/null 2>&1) || true
	rm -rf "$work"
}
trap cleanup EXIT INT TERM

# show WIDTH HEIGHT: a terminal of that size with nothing but a prompt.
show() {
	tmux -L "$socket" kill-server 2>/dev/null || true
	sleep 1
	tmux -L "$socket" -f /dev/null new-session -d -x "$1" -y "$2" -s shown -c "$work/here" \
		"env -u NO_COLOR -u CI -u API_BASE_URL -u DATABASE_URL LC_ALL=C.UTF-8 PATH='$work:$PATH' PS1='$ ' sh"
	sleep 1
}

type_in() { tmux -L "$socket" send-keys -t shown "$1" Enter; }

# keep NAME: what the terminal shows now, without the lines that name this machine's directories and the empty ones at the end.
# freeze knows neither dim text nor a colour that ends by itself: one becomes grey, the other a reset.
keep() {
	esc=$(printf '\033')
	tmux -L "$socket" capture-pane -e -p -J -t shown | grep -v -e "$work" -e '127\.0\.0\.1' -e /var/lib/sluice -e '\$ *$' |
		sed -e "s/$esc\[2m\($esc\[39m\)\{0,1\}/$esc[38;5;245m/g" -e "s/$esc\[\(22\|39\)m/$esc[0m/g" |
		sed -e :a -e '/^[[:space:]]*$/{$d;N;ba' -e '}' >"$work/shown"
	"$freeze" "$work/shown" --language ansi --output "$here/$1.svg" --background '#0d1117' --border.radius 8 --padding 16 --font.size 13 \
		--line-height 1.4 --font.family "ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace" >/dev/null
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
