"""Publishes a signal: publish.py http [address], or publish.py redis [host [port]]. Needs only Python 3."""

import datetime
import json
import os
import socket
import sys
import urllib.error
import urllib.request

signal = {
    "type": "QUANTUM_CIPHER",
    "signal": "BUY",
    "price": 162.5,
    "symbol": "BTC/USDT",
    "timeframe": "1m",
    "timestamp": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
}


def publish_http(address="http://localhost:3001"):
    """Publishes over HTTP: once the gateway has answered, the signal is in the journal."""
    headers = {"content-type": "application/json"}
    # API_KEY may be a comma-separated list, as for the gateway: use the first key.
    key = os.environ.get("API_KEY", "").split(",")[0].strip()
    if key:
        headers["authorization"] = "Bearer " + key
    request = urllib.request.Request(address + "/v1/signals", json.dumps(signal).encode(), headers)
    try:
        with urllib.request.urlopen(request) as response:
            print(json.load(response)["offsets"])
    except urllib.error.HTTPError as error:
        sys.exit(f"The gateway answered {error.code}: {json.load(error)['detail']}")


def publish_redis(host="localhost", port="6379"):
    """Does what redis.Redis(host, port).publish("new_signal", json.dumps(signal)) of the package redis does."""
    parts = [b"PUBLISH", b"new_signal", json.dumps(signal).encode()]
    command = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(command)
        answer = connection.makefile().readline().strip()
    if not answer.startswith(":"):
        sys.exit("Redis answered " + answer)
    # 0: no gateway was listening, and the signal is lost.
    print("subscribers:", answer[1:])


if len(sys.argv) < 2 or sys.argv[1] not in ("http", "redis"):
    sys.exit(__doc__)
{"http": publish_http, "redis": publish_redis}[sys.argv[1]](*sys.argv[2:])
