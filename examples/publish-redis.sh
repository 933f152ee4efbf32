#!/bin/sh
# Publishes one status straight into Redis, without a hub in between:
#   examples/publish-redis.sh CHANNEL CONTENT STATUS
#   examples/publish-redis.sh encodes clip-14 complete
# STATUS is idle, generating or complete. REDIS names the server, TENANT the tenant.
# A hub that has connected to this Redis once has loaded the function. docs/protocol.md explains its arguments.
set -eu

channel=$1 content=$2 status=$3
case $status in
    complete) type=processing_complete final=1 step='"completed"' ;;
    *) type=content_status_update final=0 step=null ;;
esac
data=$(printf '{"content_id":"%s","channel_id":"%s","status":"%s","processing_status":%s,"timestamp":"%s"}' \
    "$content" "$channel" "$status" "$step" "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)")

# Answers 1 and the cursor, or 0 and the reason why the fence refused it.
redis-cli -u "${REDIS:-redis://localhost:6379/0}" \
    FCALL statushub_publish 1 "hub:{${TENANT:-default}}" \
    "" "$channel" "$content" "$type" "$final" "" "" "" "$data"
