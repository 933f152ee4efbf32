#!/bin/sh
# Publishes one status over HTTP:
#   examples/publish-curl.sh CHANNEL CONTENT STATUS [PROGRESS]
#   examples/publish-curl.sh drafts article-12 generating 45
# HUB names the hub; STATUSHUB_TOKEN holds a token if the hub needs one.
set -eu

hub=${HUB:-http://localhost:8000}
channel=$1 content=$2 status=$3 progress=${4:-null}

# The answer is {"accepted":true,"cursor":"…"}, or {"accepted":false,"reason":"…"} where the fence refuses it.
curl --silent --show-error --fail-with-body "$hub/api/publish" \
    ${STATUSHUB_TOKEN:+--header "Authorization: Bearer $STATUSHUB_TOKEN"} \
    --json @- <<JSON
{"channel": "$channel", "content_id": "$content", "data": {"status": "$status", "progress": $progress}}
JSON
echo
