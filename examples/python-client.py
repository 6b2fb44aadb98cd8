"""Needs: pip install python-socketio aiohttp """

import asyncio
import sys
import uuid

import socketio

url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:3000"
sio = socketio.AsyncClient()
# python-socketio does not ask for missed events. The gateway sends them to a client that reconnects with the same
# random name (pid) and the offset of the last event that it received.
place = {"pid": uuid.uuid4().hex}


def auth():
    return {"topics": ["BTC/USDT", "ETH/USDT@1m"], **place}


@sio.on("new_signal")
async def new_signal(signal, offset):
    place["offset"] = offset
    print(signal["signal"], signal["symbol"], signal["price"], offset, flush=True)


@sio.on("status_update")
async def status_update(status, offset=None):
    if offset is not None:
        place["offset"] = offset
    print(status["service"], status["status"], flush=True)


@sio.on("welcome")
async def welcome(message, offset):
    place["offset"] = offset


@sio.on("checkpoint")
async def checkpoint(offset):
    place["offset"] = offset


@sio.on("gap")
async def gap(lost):
    place["offset"] = lost["resumed"]
    print(f"lost ({lost['reason']}): from {lost['requested']} to {lost['resumed']}", flush=True)


@sio.event
async def disconnect(*reason):
    print("disconnected", flush=True)


async def main():
    await sio.connect(url, auth=auth, transports=["websocket"], wait_timeout=10)
    # wait() also returns when a reconnect is finished within a second.
    while sio.connected:
        await sio.wait()


asyncio.run(main())
