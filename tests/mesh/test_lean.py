"""aiortc is loaded without media and aioice without DNS; these tests fail when a release of either prevents it."""

import subprocess
import sys
from pathlib import Path

import pytest

from mpcnode.mesh import lean

DNS = ("dns.edns", "dns.rdtypes", "dns.tokenizer", "dns.transaction", "dns.wire")
MEDIA = ("av", "aiortc.codecs", "aiortc.mediastreams", "aiortc.rtcpeerconnection", "aiortc.rtcrtpreceiver")


def run(program: str, *path: Path) -> str:
    """Give what a program prints in a process of its own, with ``path`` before everything else it imports from."""
    prepared = "".join(f"import sys; sys.path.insert(0, {str(each)!r})\n" for each in path)
    done = subprocess.run([sys.executable, "-c", prepared + program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_what_a_link_is_made_of_loads_neither_media_nor_dns() -> None:
    program = f"""
import sys
from mpcnode.mesh import tuning, webrtc
webrtc.WebRtcConnector()
print(tuning.MEDIA_LEFT_OUT, tuning.DNS_LEFT_OUT, sorted(set({MEDIA + DNS!r}) & set(sys.modules)))
"""
    assert run(program) == "True True []", "something was loaded the stock way: look at what changed upstream"


@pytest.mark.webrtc
def test_a_link_that_carries_messages_needs_neither() -> None:
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
print(sorted(set({MEDIA + DNS!r}) & set(sys.modules)))
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


def test_names_of_multicast_dns_are_still_understood() -> None:
    program = f"""
import asyncio, sys
from mpcnode.mesh import lean
from aioice import mdns
before = sorted(set({DNS!r}) & set(sys.modules))

async def main():
    protocol = await mdns.create_mdns_protocol()
    await protocol.publish("ana.local", "192.0.2.7")
    protocol.datagram_received(b"nothing of DNS", ("192.0.2.1", 5353))
    await protocol.close()

print(lean.DNS_LEFT_OUT, before, mdns.is_mdns_hostname("ana.local"))
asyncio.run(main())
import dns.message, dns.name, dns.zone
asked = dns.message.make_query("ana.local", "A").question[0].name
print(type(dns.message).__name__, asked == dns.name.from_text("ana.local"))
print(hasattr(dns.zone, "Zone"), hasattr(dns.zone, "NoSuchName"), hasattr(dns.zone, "__wrapped__"))
"""
    assert run(program).splitlines() == ["True [] True", "module True", "True False False"]


def test_dns_that_is_there_already_or_is_not_there_is_left_as_it_is(tmp_path: Path) -> None:
    program = "import dns.zone, sys; from mpcnode.mesh import lean; print(lean.DNS_LEFT_OUT, hasattr(dns.zone, 'Zone'))"
    assert run(program) == "False True"
    (tmp_path / "dns.py").write_text("")
    program = "import sys; from mpcnode.mesh import lean; print(lean.DNS_LEFT_OUT, 'dns.zone' in sys.modules)"
    assert run(program, tmp_path) == "False False"


def test_aiortcs_own_settings_are_made() -> None:
    program = """
import logging
from mpcnode.mesh import lean
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
from mpcnode.mesh import lean
print(lean.MEDIA_LEFT_OUT, sorted(name for name in sys.modules if name.split(".")[0] in {"av", "aiortc"}))
"""
    assert run(program, tmp_path) == "False []"


def test_an_aiortc_that_is_there_already_is_left_as_it_is() -> None:
    program = """
import aiortc
from mpcnode.mesh import lean
import sys
print(lean.MEDIA_LEFT_OUT, sys.modules["aiortc"] is aiortc, type(aiortc).__name__)
"""
    assert run(program) == "False True module"


def test_without_aiortc_nothing_is_put_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in {"aiortc", "av"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(lean, "find_spec", lambda _name: None)
    assert not lean.leave_media_out()
    assert "aiortc" not in sys.modules
