"""The agent's end of the shim, against one that is played."""

import asyncio
import json
import signal

import pytest

from netproxy.core.errors import KernelError
from netproxy.kubelet.runtime import Runtime, ShimLostError

LIMIT_S = 10


class PlayedShim:
    """Listens where the shim does, greets as it does, and says what the test wants."""

    def __init__(self, path):
        self.path, self.heard, self.greeting = path, asyncio.Queue(), {"containers": {}, "ended": {}}
        self.starts, self.refuses = 0, False

    async def begin(self):
        if self.refuses:
            raise KernelError("no shim today")
        self.starts += 1
        self.server = await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, reader, writer):
        self.writer = writer
        self.say(event="running", **self.greeting)
        while line := await reader.readline():
            await self.heard.put(json.loads(line))
        writer.close()

    def say(self, **message):
        self.writer.write(json.dumps(message).encode() + b"\n")

    async def die(self):
        self.server.close()
        self.writer.close()


class Listener:
    def __init__(self):
        self.news = asyncio.Queue()

    def exited(self, name, code):
        self.news.put_nowait((name, code))

    def all_lost(self):
        self.news.put_nowait("all lost")


def played(play, tmp_path, **more):
    """Run PLAY(shim, runtime, listener) with a connected runtime."""

    async def run():
        path = str(tmp_path / "shim.sock")
        shim = PlayedShim(path)

        async def new_shim():
            (tmp_path / "shim.sock").unlink(missing_ok=True)
            await shim.begin()

        await shim.begin()
        made, listener = Runtime(path, new_shim, **more), Listener()
        await made.connect()
        made.listen(listener)
        try:
            async with asyncio.timeout(LIMIT_S):
                await play(shim, made, listener)
        finally:
            await made.close()
            await shim.die()

    asyncio.run(run())


def test_a_container_starts_fails_and_ends(tmp_path):
    async def play(shim, made, listener):
        starting = asyncio.ensure_future(made.start("u/c", {"argv": ["x"]}))
        assert await shim.heard.get() == {"op": "start", "id": "u/c", "argv": ["x"]}
        shim.say(event="started", id="u/c", pid=7)
        shim.say(event="exited", id="u/c", code=3)
        assert await starting == 7
        assert await listener.news.get() == ("u/c", 3)
        assert made.running == {}
        starting = asyncio.ensure_future(made.start("u/d", {}))
        await shim.heard.get()
        shim.say(event="failed", id="u/d", error="executable file not found")
        with pytest.raises(KernelError, match="executable file not found"):
            await starting

    played(play, tmp_path)


def test_nobody_waits_for_a_shim_that_has_gone_and_a_new_one_is_used(tmp_path):
    async def play(shim, made, listener):
        waiting = [
            asyncio.ensure_future(made.start("u/c", {})),
            asyncio.ensure_future(made.execute("u/exec/1", {}, 60)),
        ]
        await shim.heard.get()
        await shim.heard.get()
        await shim.die()
        for each in waiting:
            with pytest.raises(ShimLostError):
                await each
        assert await listener.news.get() == "all lost"
        starting = asyncio.ensure_future(made.start("u/c", {}))
        while (await shim.heard.get())["op"] != "start":
            pass
        shim.say(event="started", id="u/c", pid=8)
        assert await starting == 8
        assert shim.starts == 2

    played(play, tmp_path)


def test_without_a_shim_for_long_a_start_fails(tmp_path):
    async def play(shim, made, listener):
        shim.refuses = True
        await shim.die()
        assert await listener.news.get() == "all lost"
        with pytest.raises(ShimLostError, match="there is no shim"):
            await made.start("u/c", {})

    played(play, tmp_path, patience_s=0.1)


def test_a_connection_that_was_taken_away_is_no_lost_shim(tmp_path):
    async def play(shim, made, listener):
        starting = asyncio.ensure_future(made.start("u/c", {}))
        await shim.heard.get()
        shim.say(event="started", id="u/c", pid=7)
        await starting
        shim.greeting = {"containers": {}, "ended": {"u/c": {"code": 5, "at": 1.0}}}
        shim.writer.close()
        assert await listener.news.get() == ("u/c", 5), "it ended in between"
        assert shim.starts == 1

    played(play, tmp_path)


def test_what_ends_before_anybody_listens_is_kept(tmp_path):
    async def play(shim, made, listener):
        made.listen(None)
        starting = asyncio.ensure_future(made.start("u/c", {}))
        await shim.heard.get()
        shim.say(event="started", id="u/c", pid=7)
        await starting
        shim.say(event="exited", id="u/c", code=9)
        while "u/c" not in made.dead:
            await asyncio.sleep(0)
        assert made.dead["u/c"]["code"] == 9

    played(play, tmp_path)


def test_a_command_that_takes_too_long_is_killed_and_one_that_nobody_waits_for_too(tmp_path):
    async def play(shim, made, listener):
        running = asyncio.ensure_future(made.execute("u/exec/1", {}, 0.01))
        await shim.heard.get()
        shim.say(event="started", id="u/exec/1", pid=7)
        with pytest.raises(TimeoutError):
            await running
        assert await shim.heard.get() == {"op": "signal", "id": "u/exec/1", "signal": int(signal.SIGKILL)}
        shim.say(event="exited", id="u/exec/1", code=-9)
        begun = asyncio.ensure_future(made.execute("u/exec/2", {}, 60))
        await shim.heard.get()
        begun.cancel()
        await asyncio.gather(begun, return_exceptions=True)
        shim.say(event="started", id="u/exec/2", pid=8)
        assert await shim.heard.get() == {"op": "signal", "id": "u/exec/2", "signal": int(signal.SIGKILL)}

    played(play, tmp_path)


def test_nonsense_is_passed_over(tmp_path, caplog):
    async def play(shim, made, listener):
        shim.writer.write(b"no JSON\n{}\n")
        shim.say(event="exited", id="u/c", code=0)
        assert await listener.news.get() == ("u/c", 0)

    played(play, tmp_path)
    assert "a message of the shim" in caplog.text


def test_without_a_shim_connecting_fails(tmp_path):
    with pytest.raises(KernelError, match="does not answer"):
        asyncio.run(Runtime(str(tmp_path / "none"), None).connect())
