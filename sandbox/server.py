"""One process: reads requests, lets faults and latency have their way, and asks the provider."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress

from aiohttp import web

from . import control, faults, misbehave
from .faults import Fault
from .http import Call, Raw, Reply, json_reply
from .provider import Provider
from .world import World

log = logging.getLogger("sandbox")

# Far above any request a provider takes, far below what would fill memory.
LARGEST_BODY = 4 * 2**20


class Server:
    def __init__(self, world: World, provider: Provider) -> None:
        self._world = world
        self._provider = provider
        self.stopping = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers anything; what breaks inside is logged and told as 500, never as silence."""
        try:
            if (request.content_length or 0) > LARGEST_BODY:
                return _sent(json_reply(413, {"error": {"message": "Request body too large."}}))
            raw = Raw(
                request.method,
                request.path,
                request.rel_url.raw_query_string,
                {name.lower(): value for name, value in request.headers.items()},
                await request.read(),
            )
            response = await self._route(request, raw)
            if self._world.listener.refusing and not response.prepared:
                response.force_close()  # told to the client, so that its next call is refused and not cut
            return response
        except (asyncio.CancelledError, ConnectionError, web.RequestPayloadError):
            raise  # the client is gone
        except web.HTTPException as error:
            return _sent(self._provider.failure(error.status))
        except Exception:
            log.exception("%s %s broke", request.method, request.path)
            return _sent(self._provider.failure(500))

    async def _route(self, request: web.BaseRequest, raw: Raw) -> web.StreamResponse:
        if raw.path.startswith("/_sandbox/"):
            return _sent(control.answer(self._world, self._provider, raw))
        page = self._provider.pages.find(raw.method, raw.path)
        if page:
            with self._world.webhooks.collecting() as early, self._world.ledger.transaction():
                reply = page[0].handler(self._world, raw, page[1])
            await self._world.webhooks.deliver(early)
            return _sent(reply)
        admitted = self._provider.admit(self._world, raw)
        if isinstance(admitted, Reply):
            return _sent(admitted)
        return await self._call(request, admitted)

    async def _call(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        fault = self._world.faults.take(call)
        if fault and fault.effect in faults.BEFORE:
            return await self._end(request, fault, self._provider.failure(fault.status or 500))
        reply = self._provider.begin(call)
        half = self._world.settings.latency_ms / 2000
        if reply is None:
            try:
                await _pause(half + (fault.ms / 1000 if fault and fault.effect == "delay" else 0))
                reply, early = self._act(call, fault)
                await self._world.webhooks.deliver(early)
            finally:
                self._provider.finish(call)
            await _pause(half)
        else:
            await _pause(half * 2)
        return await self._end(request, fault, reply) if fault else _sent(reply)

    def _act(self, call: Call, fault: Fault | None) -> tuple[Reply, list[int]]:
        """The answer, and the webhooks that must arrive before it."""
        instead = None
        if fault and fault.effect == "status_after":
            instead = self._provider.failure(fault.status or 500)
        with self._world.webhooks.collecting() as early, self._world.ledger.transaction():
            return self._provider.perform(call, instead), early

    async def _end(self, request: web.BaseRequest, fault: Fault, reply: Reply) -> web.StreamResponse:
        if fault.effect.startswith("timeout_"):
            await self._hang(request)
        elif fault.effect.startswith("reset_"):
            misbehave.reset(request)
        elif fault.effect in ("cut_body", "slow_body"):
            return await misbehave.send_badly(request, fault, reply)
        elif fault.effect == faults.REFUSE:
            self._world.listener.refuse(fault.ms / 1000)
        return _sent(misbehave.altered(fault, self._provider, reply))

    async def _hang(self, request: web.BaseRequest) -> None:
        hanging = asyncio.create_task(misbehave.hang(request))
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({hanging, stopping}, return_when=asyncio.FIRST_COMPLETED)
        hanging.cancel()
        stopping.cancel()


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


def _sent(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.status, body=reply.body, headers={**reply.headers, "Content-Type": reply.content_type}
    )


async def serve(world: World, provider: Provider, runner: web.ServerRunner, server: Server) -> None:
    """Runs until SIGTERM or SIGINT; open calls are cut, since the ledger already holds what they did."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stopping.set)
    helpers = [asyncio.create_task(world.timers.run()), asyncio.create_task(world.webhooks.run())]
    stopping = asyncio.create_task(server.stopping.wait())
    await asyncio.wait({stopping, *helpers}, return_when=asyncio.FIRST_COMPLETED)
    for task in helpers:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    world.listener.close()
    await runner.cleanup()
    world.ledger.close()
