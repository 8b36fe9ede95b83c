"""Centrifugo's Python SDK as a program: JSON lines out for what happens, in for what to do.

python centrifuge_sdk.py URL_OF_SERVER websocket json|protobuf TOKEN CHANNEL [delta]
"""

from __future__ import annotations

import asyncio
import json
import sys

from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    DeltaType,
    SubscriptionEventHandler,
)

SERVER, TRANSPORT, ENCODING, TOKEN, CHANNEL, *DELTA = sys.argv[1:]
BINARY = ENCODING == "protobuf"


def encode(value):
    return json.dumps(value).encode() if BINARY else value


def decode(value):
    return json.loads(value) if BINARY else value


def tell(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Connection(ClientEventHandler):
    async def on_connected(self, ctx):
        tell("connected", transport=TRANSPORT)

    async def on_connecting(self, ctx):
        tell("connecting", code=ctx.code)

    async def on_disconnected(self, ctx):
        tell("disconnected", code=ctx.code)

    async def on_publication(self, ctx):
        tell("server publication", data=decode(ctx.pub.data))


class Subscription(SubscriptionEventHandler):
    async def on_subscribed(self, ctx):
        tell("subscribed", recovered=ctx.recovered)

    async def on_unsubscribed(self, ctx):
        tell("unsubscribed", code=ctx.code)

    async def on_publication(self, ctx):
        user = ctx.pub.info.user if ctx.pub.info else ""
        tell("publication", data=decode(ctx.pub.data), offset=ctx.pub.offset, user=user)

    async def on_join(self, ctx):
        tell("join", user=ctx.info.user)


async def main():
    client = Client(
        f"ws://{SERVER}/connection/{TRANSPORT}", events=Connection(), token=TOKEN,
        use_protobuf=BINARY, min_reconnect_delay=0.05, max_reconnect_delay=0.2, proxy=None,
    )  # fmt: skip
    sub = client.new_subscription(
        CHANNEL, events=Subscription(), recoverable=True, join_leave=True,
        min_resubscribe_delay=0.05, delta=DeltaType.FOSSIL if DELTA else None,
    )  # fmt: skip

    async def publish(deed):
        await sub.publish(encode(deed["data"]))

    async def presence(deed):
        return {"users": [info.user for info in (await sub.presence()).clients.values()]}

    async def stats(deed):
        return {"clients": (await sub.presence_stats()).num_clients}

    async def history(deed):
        found = await sub.history(limit=10)
        return {"data": [decode(pub.data) for pub in found.publications]}

    async def rpc(deed):
        return {"data": decode((await client.rpc("echo", encode(deed["data"]))).data)}

    async def unsubscribe(deed):
        await sub.unsubscribe()

    async def quit(deed):
        raise SystemExit

    deeds = {
        "publish": publish, "presence": presence, "stats": stats, "history": history,
        "rpc": rpc, "unsubscribe": unsubscribe, "quit": quit,
    }  # fmt: skip
    await client.connect()
    await sub.subscribe()
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        deed = json.loads(line)
        try:
            tell("done", do=deed["do"], **(await deeds[deed["do"]](deed) or {}))
        except CentrifugeError as error:
            tell("failed", do=deed["do"], code=getattr(error, "code", 0))


asyncio.run(main())
