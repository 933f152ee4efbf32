#!/bin/bash
# Follows a channel, beginning with its whole state: prints the type and the data of each event on one line.
#   examples/follow-curl.sh CHANNEL
# HUB names the hub; STATUSHUB_TOKEN holds a token if the hub needs one.
set -eu

hub=${HUB:-http://localhost:8000}
address="$hub/api/contents/$1/events"
cursor='' type='' retry_ms=2000

while true; do
    while IFS= read -r line; do
        case $line in
            retry:*) retry_ms=${line#retry: } ;;
            id:*) cursor=${line#id:} cursor=${cursor# } ;; # empty at a reset: the whole state follows
            event:*) type=${line#event: } ;;
            data:*) [ "$type" = heartbeat ] || printf '%s %s\n' "$type" "${line#data: }" ;;
        esac
    done < <(
        # --no-buffer passes each event on as it arrives.
        exec curl --no-buffer --silent --show-error --fail --get "$address" --data events=named \
            ${cursor:+--data-urlencode "since=$cursor"} ${STATUSHUB_TOKEN:+--header "Authorization: Bearer $STATUSHUB_TOKEN"}
    )
    # 22: refused, for example without a token. Any other end of a stream (a hub that stops, a network that breaks) is
    # temporary: it is opened again with the last cursor, so that no event is missed or repeated.
    wait $! || [ $? != 22 ] || exit 1
    sleep $((retry_ms / 1000 + 1))
done
