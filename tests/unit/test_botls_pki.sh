#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# botls-pki makes what OpenSSL and botls accept, and refuses what it should.

set -u
here=$(cd "$(dirname "$0")" && pwd)
pki=${BOTLS_PKI:-$here/../../scripts/botls-pki}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
count=0

ok() { # NAME COMMAND...
	name=$1
	shift
	count=$((count + 1))
	if "$@" >out 2>&1 </dev/null; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name: $*"
		sed 's/^/# /' out
		failures=$((failures + 1))
	fi
}

# Must end with this status and say this.
refused() { # NAME STATUS TEXT COMMAND...
	name=$1 status=$2 text=$3
	shift 3
	count=$((count + 1))
	"$@" >out 2>&1 </dev/null
	seen=$?
	if [ "$seen" -eq "$status" ] && grep -qF -e "$text" out; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name: $* (status $seen)"
		sed 's/^/# /' out
		failures=$((failures + 1))
	fi
}

says() { # TEXT COMMAND...
	text=$1
	shift
	"$@" | grep -qF -e "$text"
}

mode_is() { [ "$(stat -c %a "$2")" = "$1" ]; }
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
no_leftovers() { [ -z "$(find . -name '.tmp*')" ]; }

lab="lab \$x #1" # a directory name that needs care everywhere
ok "ca" "$pki" ca "$lab" --name "Lab CA 1"
ok "ca key is private" mode_is 600 "$lab/ca.key"
ok "ca certificate is public" mode_is 644 "$lab/ca.pem"
ok "ca may sign" says "Certificate Sign, CRL Sign" openssl x509 -in "$lab/ca.pem" -noout -ext keyUsage
ok "ca name" says "CN = Lab CA 1" openssl x509 -in "$lab/ca.pem" -noout -subject
refused "ca is not overwritten" 1 "not overwritten" "$pki" ca "$lab"

for key in ec ed25519 rsa; do
	ok "cert $key" "$pki" cert "$lab" "r-$key" --ip 192.0.2.1 --ip 2001:db8::1 --dns r1.example --key $key
	ok "$key key is private" mode_is 600 "$lab/r-$key.key"
	for purpose in sslclient sslserver; do
		ok "$key as $purpose" openssl verify -x509_strict -purpose $purpose -CAfile "$lab/ca.pem" "$lab/r-$key.pem"
	done
	ok "$key is for its IPv6 address" openssl verify -verify_ip 2001:db8::1 -CAfile "$lab/ca.pem" "$lab/r-$key.pem"
	ok "$key is for its name" openssl verify -verify_hostname r1.example -CAfile "$lab/ca.pem" "$lab/r-$key.pem"
	refused "$key is not for another address" 2 "IP address mismatch" \
		openssl verify -verify_ip 192.0.2.9 -CAfile "$lab/ca.pem" "$lab/r-$key.pem"
	ok "$key: pin of key and certificate" same "$("$pki" pin "$lab/r-$key.key")" "$("$pki" pin "$lab/r-$key.pem")"
done
ok "P-256 by default" says "prime256v1" openssl x509 -in "$lab/r-ec.pem" -noout -text
want=$(openssl x509 -in "$lab/r-ec.pem" -noout -pubkey | openssl pkey -pubin -outform DER |
	openssl dgst -sha256 -binary | openssl base64 -A)
ok "pin" same "sha256/$want" "$("$pki" pin "$lab/r-ec.pem")"
ok "pins differ" test "$("$pki" pin "$lab/r-ec.pem")" != "$("$pki" pin "$lab/r-rsa.pem")"
refused "cert is not overwritten" 1 "not overwritten" "$pki" cert "$lab" r-ec --ip 192.0.2.1
ok "cert for 5 days" "$pki" cert "$lab" short --ip 192.0.2.1 --days 5
refused "and not for 6" 1 "will expire" openssl x509 -in "$lab/short.pem" -noout -checkend $((6 * 86400))

ok "show: names" says "names: IP:192.0.2.1, IP:2001:DB8:0:0:0:0:0:1, DNS:r1.example" "$pki" show "$lab/r-ec.pem"
ok "show: pin" says "pin: sha256/$want" "$pki" show "$lab/r-ec.pem"
ok "show: until" says "until: $(date -u -d '+5 days' +%Y-%m-%d)" "$pki" show "$lab/short.pem"
refused "show needs a certificate" 1 "no certificate in it" "$pki" show "$lab/ca.key"

ok "revoke" "$pki" revoke "$lab" r-ec
refused "revoked" 2 "certificate revoked" \
	openssl verify -crl_check -CAfile "$lab/ca.pem" -CRLfile "$lab/crl.pem" "$lab/r-ec.pem"
ok "others are not" openssl verify -crl_check -CAfile "$lab/ca.pem" -CRLfile "$lab/crl.pem" "$lab/r-rsa.pem"
refused "revoke twice" 1 "revoked already" "$pki" revoke "$lab" r-ec
ok "revoke another" "$pki" revoke "$lab" r-rsa
refused "the first one stays revoked" 2 "certificate revoked" \
	openssl verify -crl_check -CAfile "$lab/ca.pem" -CRLfile "$lab/crl.pem" "$lab/r-ec.pem"
before=$(openssl crl -in "$lab/crl.pem" -noout -crlnumber)
ok "crl again" "$pki" crl "$lab" --days 3
ok "crl number grows" test "$before" != "$(openssl crl -in "$lab/crl.pem" -noout -crlnumber)"
refused "revoke needs a certificate" 1 "no such certificate" "$pki" revoke "$lab" nobody
ok "another ca" "$pki" ca other --days 10
cp other/ca.pem "$lab/foreign.pem"
refused "revoke only what is ours" 1 "openssl failed" "$pki" revoke "$lab" foreign

refused "cert outlives its ca" 1 "use fewer --days" "$pki" cert other r1 --ip 192.0.2.1
refused "no ca there" 1 "make an authority with" "$pki" cert nowhere r1 --ip 192.0.2.1
refused "neither address nor name" 2 "at least one --ip or --dns" "$pki" cert "$lab" r9
refused "name as address" 2 "is not an IP address (--dns takes names)" "$pki" cert "$lab" r9 --ip r9.example
refused "prefix" 2 "not a prefix" "$pki" cert "$lab" r9 --ip 192.0.2.0/24
refused "interface" 2 "leave the interface away" "$pki" cert "$lab" r9 --ip fe80::1%eth0
refused "address out of range" 1 "bad ip address" "$pki" cert "$lab" r9 --ip 192.0.2.300
refused "wildcard" 2 "no wildcards" "$pki" cert "$lab" r9 --dns '*.example'
refused "more in a name" 2 "is not a DNS name" "$pki" cert "$lab" r9 --dns 'a,IP:192.0.2.9'
refused "path as name" 2 "is no file name" "$pki" cert "$lab" ../r9 --ip 192.0.2.1
refused "reserved name" 2 "choose another name" "$pki" cert "$lab" ca --ip 192.0.2.1
refused "days" 2 "--days wants a number" "$pki" cert "$lab" r9 --ip 192.0.2.1 --days 0
refused "key type" 2 "--key is ec, ed25519 or rsa" "$pki" cert "$lab" r9 --ip 192.0.2.1 --key dsa
refused "ca name" 2 "--name takes" "$pki" ca third --name "a\$b"
refused "option without value" 2 "wants a value" "$pki" cert "$lab" r9 --ip
refused "option of another command" 2 "means nothing here" "$pki" crl "$lab" --ip 192.0.2.1
refused "unknown command" 2 "unknown command" "$pki" frobnicate
refused "no command" 2 "usage:" "$pki"
ok "help" says "usage:" "$pki" help
openssl pkey -in "$lab/r-rsa.key" -aes256 -passout pass:secret -out enc.key
refused "pin of an encrypted key" 1 "without pass phrase" "$pki" pin enc.key
echo nothing >empty
refused "pin of nothing" 1 "no certificate and no key" "$pki" pin empty
refused "pin of a missing file" 1 "cannot be read" "$pki" pin missing
ok "nothing half made is left" no_leftovers
ok "and nothing was made by refusals" test ! -e "$lab/r9.pem" -a ! -e "$lab/r9.key"

echo "1..$count"
[ "$failures" -eq 0 ] || {
	echo "$failures failed"
	exit 1
}
