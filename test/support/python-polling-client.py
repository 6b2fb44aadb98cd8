"""A stock client of python-socketio on long-polling alone: prints what it gets. Arguments: the URL, and async or sync."""

import asyncio
import sys
import uuid

import socketio

url, kind = sys.argv[1:]
OPTIONS = {"reconnection_delay": 0.2, "reconnection_delay_max": 0.5}
sio = socketio.AsyncClient(**OPTIONS) if kind == "async" else socketio.Client(**OPTIONS)
place = {"pid": uuid.uuid4().hex}


def say(*words):
    # In one write: the handlers of the client without asyncio run in threads.
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


def go_to(offset):
    """Keeps the newest place; threads may overtake each other."""
    if int(offset.split(":")[1]) >= int(place.get("offset", "x:0").split(":")[1]):
        place["offset"] = offset


def handler(event):
    """Registers a handler, which has to be a coroutine for a client with asyncio."""

    def register(function):
        async def asynchronous(*args):
            function(*args)

        sio.on(event, asynchronous if kind == "async" else function)

    return register


@handler("new_signal")
def new_signal(signal, offset):
    go_to(offset)
    say("signal", signal["price"])


@handler("welcome")
def welcome(message, offset):
    go_to(offset)
    say("welcome")


@handler("gap")
def gap(lost):
    say("gap", lost)


@handler("connect")
def connect():
    say("connect", sio.transport())


@handler("disconnect")
def disconnect(*reason):
    say("disconnect")


def auth():
    return dict(place)


async def run():
    await sio.connect(url, auth=auth, transports=["polling"])
    await sio.wait()


if kind == "async":
    asyncio.run(run())
else:
    sio.connect(url, auth=auth, transports=["polling"])
    sio.wait()
