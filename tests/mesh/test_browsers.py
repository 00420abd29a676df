"""What real browsers say by default, names instead of addresses and all, and links to them where they are installed."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from mpcnode.mesh import sdp
from mpcnode.mesh.transport import IceCandidate
from mpcnode.mesh.webrtc import WebRtcConnector, WebRtcLink

SAID: Final = sorted((Path(__file__).parent / "browsers").glob("*.json"))
DEADLINE: Final = 60.0
BROWSERS: Final = {
    "firefox": ("firefox-esr", "--headless", "--no-remote", "--profile", "{profile}"),
    "chromium": ("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir={profile}"),
}
PAGE: Final = """<script>
const ask = async (what, body) => (await fetch(what, {method: 'POST', body: body ?? ''})).text();
const gathered = pc => new Promise(done => setInterval(() => pc.iceGatheringState == 'complete' && done(), 20));
(async () => {
  const [role, trickle] = (await ask('/role')).split(' ');
  const pc = new RTCPeerConnection();
  const channel = pc.createDataChannel('mpcnode', {negotiated: true, id: 0, ordered: true});
  channel.onmessage = said => channel.send('tab heard ' + said.data);
  const waiting = [];
  let answered = false;
  const tell = candidate => answered ? ask('/candidate', candidate) : waiting.push(candidate);
  if (trickle == 'trickle') pc.onicecandidate = event => tell(event.candidate ? event.candidate.candidate : '');
  if (role == 'offers') {
    await pc.setLocalDescription(await pc.createOffer());
    if (trickle != 'trickle') await gathered(pc);
    await pc.setRemoteDescription({type: 'answer', sdp: await ask('/offer', pc.localDescription.sdp)});
  } else {
    await pc.setRemoteDescription({type: 'offer', sdp: await ask('/offered')});
    await pc.setLocalDescription(await pc.createAnswer());
    if (trickle != 'trickle') await gathered(pc);
    await ask('/answer', pc.localDescription.sdp);
  }
  answered = true;
  waiting.forEach(candidate => ask('/candidate', candidate));
})().catch(error => ask('/failed', String(error)));
</script>"""


@pytest.mark.parametrize("path", SAID, ids=lambda path: path.stem)
def test_a_browsers_own_description_is_read_and_is_not_taken_for_complete(path: Path) -> None:
    said = json.loads(path.read_text())
    assert ".local" in said["sdp"]
    for text in (said["first"], said["sdp"]):
        description = sdp.read(text, setup="actpass")
        assert description.candidates == ()  # a name is never asked for
        assert not description.complete
    candidates = [sdp.read_candidate(one) for one in said["candidates"] if one]
    assert candidates == [None] * len(candidates)


def test_firefox_says_that_its_names_are_all_there_is() -> None:
    (firefox,) = [path for path in SAID if "firefox" in path.stem]
    assert "a=end-of-candidates" in json.loads(firefox.read_text())["sdp"]


class Recorder:
    """What a link tells."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()

    def opened(self) -> None:
        self.told.put_nowait("opened")

    def received(self, data: bytes) -> None:
        self.told.put_nowait(data.decode())

    def closed(self, reason: str) -> None:
        self.told.put_nowait(f"closed: {reason}")

    def violated(self, reason: str) -> None:
        self.told.put_nowait(f"violated: {reason}")


class Site:
    """Serves the page, and answers it for one link of ours."""

    def __init__(self, link: WebRtcLink, recorder: Recorder, role: str) -> None:
        self._link = link
        self._recorder = recorder
        self._role = role

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = [line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")]
        body = (await reader.readexactly(int(size[0]) if size else 0)).decode()
        answer = (await self._answer(head.split(" ")[1], body)).encode()
        kind = "text/html" if head.startswith("GET") else "text/plain"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n".encode())
        writer.write(b"Connection: close\r\n\r\n" + answer)
        await writer.drain()
        writer.close()

    async def _answer(self, path: str, body: str) -> str:
        match path:
            case "/":
                return PAGE
            case "/role":
                return self._role
            case "/offer":
                return await self._link.answer(body)
            case "/offered":
                return await self._link.offer()
            case "/answer":
                await self._link.accept(body)
            case "/candidate":
                await self._link.add_candidate(IceCandidate(body, "0", 0, 1))
            case "/failed":
                self._recorder.closed(body)
        return ""


@asynccontextmanager
async def tab(browser: str, url: str, profile: Path) -> AsyncIterator[None]:
    """A headless browser that opens a page, gone at the end."""
    command = [part.format(profile=profile) for part in BROWSERS[browser]]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, url, stdout=nowhere, stderr=nowhere)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.slow
@pytest.mark.webrtc
@pytest.mark.process
@pytest.mark.parametrize("role", ["offers all", "offers trickle", "answers all", "answers trickle"])
@pytest.mark.parametrize("browser", sorted(BROWSERS))
async def test_a_default_browser_that_says_names_alone_links(browser: str, role: str, tmp_path: Path) -> None:
    recorder = Recorder()
    link = WebRtcConnector().link(recorder)
    server = await asyncio.start_server(Site(link, recorder, role).serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        async with asyncio.timeout(DEADLINE), tab(browser, url, tmp_path):
            assert await recorder.told.get() == "opened"
            link.send(b"{}")
            assert await recorder.told.get() == "tab heard {}"
    finally:
        server.close()
        await link.close()
