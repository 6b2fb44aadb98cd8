"""Control row: python-socketio with FastAPI and uvicorn, from Debian's packages, as an application of its guides has it."""

import asyncio
import base64
import ctypes
import json
import os
import signal
import socket

import fastapi
import redis.asyncio
import socketio
import uvicorn

CHANNEL = os.environ.get("SIGNAL_CHANNEL", "new_signal")
WELCOME = {"message": "Successfully connected to Quantum Trader Pro real-time feed."}
# As long as the gateway's name for one life of its journal, so that packets are of the same length.
EPOCH = base64.urlsafe_b64encode(os.urandom(6)).decode()
# Clients that may wait to be accepted.
BACKLOG = 4096
# Of prctl(2).
PR_SET_PDEATHSIG = 1

# Clients of any origin, as the other rows take them.
sio = socketio.AsyncServer(async_mode="asgi", always_connect=True, cors_allowed_origins="*")
api = fastapi.FastAPI()
app = socketio.ASGIApp(sio, other_asgi_app=api)
seq = 0


@api.get("/healthz")
async def healthz():
    return {"status": "ok"}


@sio.event
async def connect(sid, environ, auth=None):
    for topic in (auth or {}).get("topics", ["*"]):
        sio.enter_room(sid, topic)
    await sio.emit("welcome", (WELCOME, f"{EPOCH}:{seq}"), room=sid)


async def forward(pubsub):
    """Emits every signal that is heard."""
    global seq
    async for message in pubsub.listen():
        if message["type"] != "message":
            continue
        seq += 1
        payload = json.loads(message["data"])
        symbol = payload["symbol"]
        for topic in ("*", symbol, f"{symbol}@{payload['timeframe']}"):
            await sio.emit("new_signal", (payload, f"{EPOCH}:{seq}"), room=topic)


async def main():
    # A bench that was killed leaves no server behind.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    pubsub = redis.asyncio.from_url(os.environ["REDIS_URL"]).pubsub()
    await pubsub.subscribe(CHANNEL)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets",
        # No other row compresses.
        ws_per_message_deflate=False,
        backlog=BACKLOG,
        log_level="error",
    )
    forwarding = asyncio.ensure_future(forward(pubsub))
    # A signal that can not be emitted ends the row instead of passing as lost.
    forwarding.add_done_callback(lambda task: task.exception() and os._exit(1))
    line = {"msg": "serving", "port": listener.getsockname()[1], "adminPort": 0}
    print(json.dumps(line, separators=(",", ":")), flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    asyncio.run(main())
