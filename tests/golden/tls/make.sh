#!/bin/sh
# Makes the certificates of the tests anew, with openssl: ./make.sh. Valid from 2020 for a century, but
# for the expired one.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
touch "$work/index"
cat >"$work/ca.conf" <<CONFIG
[ca]
default_ca = standard
[standard]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
[server]
subjectAltName = DNS:localhost, DNS:db.example.org, IP:127.0.0.1
[client]
extendedKeyUsage = clientAuth
[authority]
basicConstraints = critical, CA:TRUE
[own]
basicConstraints = critical, CA:TRUE
subjectAltName = DNS:db.example.org
[plain]
CONFIG

issue() { # name, its key, the authority's name and key, section, end
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$2"
    openssl req -new -key "$2" -subj "/CN=$1" -out "$work/request"
    own=
    [ "$1" != "$3" ] || own=-selfsign
    openssl ca -batch -notext -config "$work/ca.conf" $own -cert "$3.pem" -keyfile "$4" \
        -extensions "$5" -startdate 20200101000000Z -enddate "$6" -in "$work/request" -out "$1.pem"
}

century=21200101000000Z
issue authority "$work/authority.key" authority "$work/authority.key" authority $century
issue stranger "$work/stranger.key" stranger "$work/stranger.key" authority $century
issue server server.key authority "$work/authority.key" server $century
issue expired expired.key authority "$work/authority.key" server 20200102000000Z
issue client client.key authority "$work/authority.key" client $century
# An authority that vouches for nobody but itself, as `openssl req -x509` makes servers.
issue own own.key own own.key own $century
# Without extensions it is of version 1.
issue version-1 version-1.key authority "$work/authority.key" plain $century
