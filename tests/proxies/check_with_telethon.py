"""Telethon, which nobody here wrote, through an MTProxy of the tests to the loopback Telegram.

Arguments: the proxy's port and secret, the number of a datacentre and its key in hexadecimal digits.
"""

import asyncio
import sys

from telethon import TelegramClient, connection
from telethon.crypto import AuthKey
from telethon.sessions import MemorySession

port, secret, dc, key = sys.argv[1:]
is_padded = secret.startswith("dd")


async def main():
    session = MemorySession()
    # The proxy leads to the datacentre by its number, whatever address is given here.
    session.set_dc(int(dc), "192.0.2.1", 443)
    session.auth_key = AuthKey(bytes.fromhex(key))
    how = (
        connection.ConnectionTcpMTProxyRandomizedIntermediate
        if is_padded
        else connection.ConnectionTcpMTProxyIntermediate
    )
    proxy = ("127.0.0.1", int(port), secret)
    async with TelegramClient(session, 12345, "hash", connection=how, proxy=proxy) as client:
        assert (await client.get_me()).id == 1000
    print("all is well")


asyncio.run(asyncio.wait_for(main(), 60))
