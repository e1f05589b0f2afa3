# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a probe pod: programs for BusyBox' shell, and the words by which it answers."""

from __future__ import annotations

PORT = 8080
CHECKS_FILE = "/probe/checks"

# The answer is larger than a packet, so that an MTU which is too large for the way shows.
LISTEN = f"""
mkdir -p /tmp/www
printf '<%s>%4000s' "$NODE" end > /tmp/www/index.html
exec httpd -f -p {PORT} -h /tmp/www
"""

# Reads lines `number kind target expected`, asks all of them at once, each again and again for some seconds until the answer is right,
# because kube-proxy learns of a Service a moment after the pods. Writes a line `number word hundredths-of-a-second tries` for each.
# wget is bounded by timeout(1), because its own -T makes Debian's static BusyBox crash.
ASK = f"""
now() {{ read -r up rest < /proc/uptime; echo "${{up%.*}}${{up#*.}}"; }}
try() {{
  case $kind in
    http)
      said=$(busybox timeout 3 wget -q -O - "$target" 2>&1); status=$?
      case $said in
        "<$expected>"*) word=ok; [ $status = 0 ] || word=cut ;;
        *refused*) word=ref ;;
        *nreachable*|*'No route'*) word=unr ;;
        '') word=sil ;;
        *) word=wrg ;;
      esac ;;
    dns)
      said=$(busybox timeout 3 nslookup "$target" "$expected" 2>&1); status=$?
      case $said in
        *Name:*) word=ok ;;
        *NXDOMAIN*) word=nxd ;;
        *SERVFAIL*) word=srv ;;
        *'onnection refused'*) word=ref ;;
        *nreachable*|*'No route'*) word=unr ;;
        *'timed out'*|'') word=sil ;;
        *) word=wrg; [ $status -lt 128 ] || word=sil ;;
      esac ;;
  esac
}}
check() {{
  began=$(now) tries=0
  while :; do
    start=$(now) tries=$((tries + 1))
    try
    end=$(now)
    [ $word != ok ] && [ $((end - began)) -lt 800 ] || break
    sleep 1
  done
  echo "$number $word $((end - start)) $tries" > /tmp/answers/$number
}}
mkdir -p /tmp/answers
until [ -s {CHECKS_FILE} ]; do sleep 0.2; done
while read -r number kind target expected; do check & done < {CHECKS_FILE}
wait
{{
  while read -r word address rest; do [ "$word" != nameserver ] || echo "nameserver $address"; done < /etc/resolv.conf
  cat /tmp/answers/*
}} > /dev/termination-log
"""

# word -> what it means; a DNS server's, where it differs
MEANINGS = {
    "ok": "answers",
    "cut": "the answer breaks off: packets that are full do not arrive",
    "ref": "connection refused",
    "unr": "no route",
    "sil": "no answer",
    "wrg": "another answer than that of the probe pod",
}
DNS_MEANINGS = {
    **MEANINGS,
    "wrg": "no address for this name",
    "nxd": "no such name (NXDOMAIN)",
    "srv": "the server failed (SERVFAIL)",
}
