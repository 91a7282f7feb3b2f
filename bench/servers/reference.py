"""The reference: FastAPI, and a TTL cache of cachetools behind a lock, in one worker of uvicorn.

It reads one line of JSON from its parent, `{"users": {authorization: user}, "listings": {size: listing}}`, writes
the port that it listens on, and ends when the parent closes its input.
"""

import json
import os
import socket
import sys
import threading

import uvicorn
from cachetools import TTLCache
from fastapi import Depends, FastAPI, Header, HTTPException

settings = json.loads(sys.stdin.readline())
users = settings["users"]
listings = settings["listings"]

cache = TTLCache(maxsize=1000, ttl=60)
cache_lock = threading.Lock()


def load_cloud_folders(folder):
    return listings[folder[1 : folder.index("-")]]


def get_cloud_folders_cached(user, provider, folder):
    key = (user, provider, folder)
    with cache_lock:
        found = cache.get(key)
    if found is not None:
        return found
    loaded = load_cloud_folders(folder)
    with cache_lock:
        cache[key] = loaded
    return loaded


def invalidate_provider_cache(user, provider):
    with cache_lock:
        for key in [key for key in cache if key[:2] == (user, provider)]:
            del cache[key]


async def current_user(authorization: str = Header("")):
    user = users.get(authorization)
    if user is None:
        raise HTTPException(status_code=401)
    return user


app = FastAPI()


# A coroutine, so that no hit waits for a thread of the pool.
@app.get("/cloud/{provider}/listing")
async def list_folder(provider: str, folder: str, user: str = Depends(current_user)):
    return get_cloud_folders_cached(user, provider, folder)


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_parent, daemon=True).start()
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=600)
uvicorn.Server(config).run(sockets=[listener])
