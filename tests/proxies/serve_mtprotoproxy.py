"""mtprotoproxy, an MTProxy that nobody here wrote, in front of the loopback Telegram.

Arguments: the key in hexadecimal digits, the host of the disguise as TLS, and the addresses of the
datacentres from 1 on, `host:port`. Prints the port on which it listens. It serves clients as it is;
only its own start is left out, which asks the internet for addresses and times.
"""

import asyncio
import importlib.util
import pathlib
import sys

key, domain, *datacentres = sys.argv[1:]
sys.argv = [sys.argv[0], "0", key, "", domain]

# It is installed as a program, beside that of Python.
program = pathlib.Path(sys.prefix, "bin", "mtprotoproxy.py")
spec = importlib.util.spec_from_file_location("mtprotoproxy", program)
mtprotoproxy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mtprotoproxy)
# It was written for an older Python.
asyncio.streams.IncompleteReadError = asyncio.IncompleteReadError


async def connect(datacentre, _port, limit, timeout):
    host, port = datacentre.rsplit(":", 1)
    return await asyncio.wait_for(asyncio.open_connection(host, int(port), limit=limit), timeout)


async def main():
    mtprotoproxy.init_config()
    # All three disguises at once, and nobody is handed over to a real web server.
    for limit in "TLS_ONLY", "SECURE_ONLY", "MASK":
        setattr(mtprotoproxy.config, limit, False)
    mtprotoproxy.init_stats()
    mtprotoproxy.TG_DATACENTERS_V4 = datacentres
    mtprotoproxy.open_connection_tryer = connect
    server = await asyncio.start_server(mtprotoproxy.handle_client_wrapper, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
