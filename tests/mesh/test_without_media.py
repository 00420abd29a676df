"""aiortc is loaded without what plays sound and pictures; these tests fail when a release of aiortc prevents it."""

import subprocess
import sys
from pathlib import Path

import pytest

from mpcnode.mesh import without_media

MEDIA = ("av", "aiortc.codecs", "aiortc.mediastreams", "aiortc.rtcpeerconnection", "aiortc.rtcrtpreceiver")


def run(program: str, *path: Path) -> str:
    """Give what a program prints in a process of its own, with ``path`` before everything else it imports from."""
    prepared = "".join(f"import sys; sys.path.insert(0, {str(each)!r})\n" for each in path)
    done = subprocess.run([sys.executable, "-c", prepared + program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_what_a_link_is_made_of_loads_no_media() -> None:
    program = f"""
import sys
from mpcnode.mesh import tuning, webrtc
webrtc.WebRtcConnector()
print(tuning.MEDIA_LEFT_OUT, sorted(set({MEDIA!r}) & set(sys.modules)))
"""
    assert run(program) == "True []", "aiortc was loaded the stock way: look at what changed upstream"


@pytest.mark.webrtc
def test_a_link_that_carries_messages_needs_no_media() -> None:
    program = f"""
import asyncio, sys
from mpcnode.mesh import webrtc
from mpcnode.mesh.transport import IceCandidate

class Events:
    def __init__(self):
        self.open, self.came = asyncio.Event(), asyncio.Event()
    def opened(self): self.open.set()
    def received(self, data): self.came.set()
    def closed(self, reason): raise AssertionError(reason)
    violated = closed

async def main():
    ends = [Events(), Events()]
    one, two = [webrtc.WebRtcConnector(policy="loopback").link(each) for each in ends]
    await one.accept(await two.answer(await one.offer()))
    for end in ends:
        await asyncio.wait_for(end.open.wait(), 20)
    one.send(b'{{"hello": 1}}')
    await asyncio.wait_for(ends[1].came.wait(), 20)
    await asyncio.gather(one.close(), two.close())

asyncio.run(main())
print(sorted(set({MEDIA!r}) & set(sys.modules)))
"""
    assert run(program) == "[]"


def test_every_name_of_aiortc_is_still_there_with_its_media() -> None:
    program = """
import sys
from mpcnode.mesh import tuning
import aiortc
assert "av" not in sys.modules
from aiortc import *
for name in aiortc.__all__:
    assert getattr(aiortc, name) is globals()[name]
aiortc.RTCRtpSender.getCapabilities("audio")
assert aiortc.RTCCertificate is tuning.RTCCertificate
print(tuning.MEDIA_LEFT_OUT, hasattr(aiortc, "__version__"), hasattr(aiortc, "NoSuchName"), "av" in sys.modules)
"""
    assert run(program) == "True True False True"


def test_aiortcs_own_settings_are_made() -> None:
    program = """
import logging
from mpcnode.mesh import without_media
print([type(each).__name__ for each in logging.getLogger("aiortc").handlers])
"""
    assert run(program) == "['NullHandler']"


@pytest.mark.parametrize(
    ("package", "rtp"),
    [
        ("from .parts import *\n", ""),
        ("from .parts import Known\nUnknown.__name__\n", ""),
        ("from .parts import Known\nfrom ..other import Unknown\n", ""),
        ("from .parts import Known\n", "from av.frame import Frame\n"),
        ("from .parts import Known\n", "from av import AudioFrame\nAudioFrame.samples\n"),
        ("from .parts import Known\n", "import av\nav.open()\n"),
        ("from .parts import Known\n", None),
        ("from .parts import Known\n", ""),
        ("from .parts import RTCCertificate, RTCDataChannel, RTCIceGatherer\n", ""),
        ("Known = object()\n", ""),
    ],
)
def test_an_aiortc_of_another_form_is_loaded_the_stock_way(tmp_path: Path, package: str, rtp: str | None) -> None:
    (tmp_path / "aiortc").mkdir()
    (tmp_path / "aiortc" / "__init__.py").write_text(package)
    (tmp_path / "aiortc" / "parts.py").write_text("Known = object()\n")
    if rtp is not None:
        (tmp_path / "aiortc" / "rtp.py").write_text(rtp)
    program = """
import sys
from mpcnode.mesh import without_media
print(without_media.MEDIA_LEFT_OUT, sorted(name for name in sys.modules if name.split(".")[0] in {"av", "aiortc"}))
"""
    assert run(program, tmp_path) == "False []"


def test_an_aiortc_that_is_there_already_is_left_as_it_is() -> None:
    program = """
import aiortc
from mpcnode.mesh import without_media
import sys
print(without_media.MEDIA_LEFT_OUT, sys.modules["aiortc"] is aiortc, type(aiortc).__name__)
"""
    assert run(program) == "False True module"


def test_without_aiortc_nothing_is_put_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in {"aiortc", "av"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(without_media, "find_spec", lambda _name: None)
    assert not without_media.leave_media_out()
    assert "aiortc" not in sys.modules
