#!/bin/sh
# Usage: publish.sh [BUY|SELL] [price]
set -eu

# API_KEY may be a comma-separated list, as for the gateway: use the first key.
key="${API_KEY:-}"
key="${key%%,*}"

curl -sS --fail-with-body "${GATEWAY_ADMIN:-http://localhost:3001}/v1/signals" \
  -H 'content-type: application/json' \
  ${key:+-H "authorization: Bearer $key"} \
  -d '{
    "type": "QUANTUM_CIPHER",
    "signal": "'"${1:-BUY}"'",
    "price": '"${2:-162.5}"',
    "symbol": "BTC/USDT",
    "timeframe": "1m",
    "timestamp": "'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'"
  }'
