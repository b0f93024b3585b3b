#!/bin/sh
# Installs what `make test` needs beyond a Rust toolchain, on Debian and Ubuntu.
# Does nothing when everything is there. Starts no service.
set -eu

# One group per line: what for, then packages; each group is installed by itself, so that a failure
# names its purpose. `program:package` says how to see that a package is there.
groups='
VRRP_peer keepalived:keepalived
packet_filter_faults nft:nftables
check_benchmark curl:curl
network_manager /lib/systemd/systemd-networkd:systemd
checked_services haproxy:haproxy pgbouncer:pgbouncer
alert_rules promtool:prometheus
demo_shell ip:iproute2 nsenter:util-linux setpriv:util-linux
database_cluster etcd:etcd-server patroni:patroni pg_createcluster:postgresql psql:postgresql-client
'

say() { printf 'setup-debian: %s\n' "$*"; }
die() { printf 'setup-debian: %s\n' "$*" >&2; exit 1; }

# sbin is not in every user's path.
PATH=$PATH:/usr/sbin:/sbin

missing_of() { # program:package... -> the packages whose program is missing
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || printf '%s ' "${pair#*:}"
    done
}

all=$(printf '%s\n' "$groups" | while read -r purpose pairs; do
    # shellcheck disable=SC2086 # a list of words
    [ -z "$purpose" ] || missing_of $pairs
done)
# keepalived's own example configurations. Images without documentation leave them out (dpkg's
# path-exclude): then they are taken from the package file.
samples=/usr/share/doc/keepalived/samples
have_samples() { [ -e "$samples/keepalived.conf.vrrp" ]; }

if [ -z "$all" ] && have_samples; then exit 0; fi

command -v apt-get >/dev/null 2>&1 ||
    die "this is not Debian or Ubuntu; install by other means: ${all:-$samples}"
[ "$(id -u)" -eq 0 ] || die "run as root to install: ${all:-$samples}"

# Packages start their services unless this file forbids it (101: forbidden by policy). An existing
# policy is the administrator's and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; }
updated=no

printf '%s\n' "$groups" | while read -r purpose pairs; do
    [ -n "$purpose" ] || continue
    # shellcheck disable=SC2086 # a list of words
    packages=$(missing_of $pairs)
    [ -n "$packages" ] || continue
    if [ "$updated" = no ]; then
        apt-get update -q || say "package lists could not be refreshed; trying with the old ones"
        updated=yes
    fi
    say "installing for $purpose: $packages"
    # shellcheck disable=SC2086 # a list of words
    install $packages </dev/null || die "could not install $packages (needed for: $purpose)"
done

left=$(printf '%s\n' "$groups" | while read -r purpose pairs; do
    # shellcheck disable=SC2086 # a list of words
    [ -z "$purpose" ] || missing_of $pairs
done)
[ -z "$left" ] || die "installed, but still not found: $left"

if ! have_samples; then
    say "fetching keepalived's samples"
    [ "$updated" = yes ] || apt-get update -q || say "package lists could not be refreshed; trying with the old ones"
    fetched=$(mktemp -d)
    (cd "$fetched" && apt-get download -q keepalived && dpkg-deb --extract keepalived_*.deb .) ||
        die "could not fetch keepalived's package (needed for: its samples)"
    mkdir -p "${samples%/*}"
    cp -R "$fetched$samples" "${samples%/*}/"
    rm -rf "$fetched"
    have_samples || die "keepalived's package has no $samples"
fi
