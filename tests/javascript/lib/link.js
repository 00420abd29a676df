// PROTOCOL, Link: descriptions, candidates, the first message on a channel.
import { isIP } from "node:net";
import { same, unhex } from "./bytes.js";
import { sign, verify } from "./ed25519.js";

export function statement(mesh, sender, recipient) {
  return [mesh, sender.peer_id, sender.public_key, sender.fingerprint, recipient.peer_id, recipient.public_key, recipient.fingerprint];
}

export function openChannel(seed, mesh, me, other) {
  return sign(seed, "mpcnode/channel-open/v1", ...statement(mesh, me, other));
}

/** Whether a first message is of `other`, as `me` sees both. */
export function isFrom(message, mesh, me, other) {
  const { type, payload, msg_id } = message;
  return (
    type === "channel_open" &&
    msg_id === undefined &&
    payload.signature !== undefined &&
    same(payload.mesh, mesh) &&
    payload.peer_id === me.peer_id &&
    same(payload.public_key, other.public_key) &&
    verify(other.public_key, payload.signature, "mpcnode/channel-open/v1", ...statement(mesh, other, me))
  );
}

const CANDIDATE =
  /^([A-Za-z0-9+/]{1,32}) ([0-9]{1,5}) ([A-Za-z]{1,8}) ([0-9]{1,10}) ([A-Za-z0-9.:-]{1,255}) ([0-9]{1,5}) typ ([a-z]{1,8})((?: [!-~]{1,64} [!-~]{1,256}){0,12})$/;

function isSingleHost(host) {
  const version = isIP(host);
  if (version === 4) {
    const first = Number(host.split(".")[0]);
    return !(first >= 224 && first <= 239) && host !== "0.0.0.0";
  }
  return version === 6 && !/^ff/i.test(host) && !/^[0:]+$/.test(host);
}

/** Give a candidate, or null for one that is passed over; throws for what is none. */
export function candidate(text) {
  const match = CANDIDATE.exec(text.replace(/^candidate:/, "").trim());
  if (!match || text.length > 1024) throw new Error("not a candidate");
  const [, foundation, component, transport, priority, host, port, kind] = match;
  if (!(port > 0 && port < 65536 && priority > 0 && priority < 2 ** 32)) throw new Error("out of range");
  const used =
    transport.toLowerCase() === "udp" &&
    component === "1" &&
    ["host", "srflx", "relay"].includes(kind) &&
    isSingleHost(host);
  return used ? { foundation, priority: Number(priority), host, port: Number(port), kind } : null;
}

export function read(text, setup) {
  const fail = (why) => {
    throw new Error(why);
  };
  if (text.length > 16_384 || /[^\x00-\x7f]/.test(text)) fail("too long, or not ASCII");
  const lines = text.replace(/\n$/, "").split("\n").map((line) => line.replace(/\r$/, ""));
  if (lines[0] !== "v=0" || lines.some((line) => line.length > 1024 || line[1] !== "=")) fail("not SDP");
  const sections = lines.filter((line) => line.startsWith("m="));
  if (sections.length !== 1 || !/^m=application [0-9]{1,5} UDP\/DTLS\/SCTP webrtc-datachannel$/.test(sections[0]))
    fail("not one data channel");
  const attributes = new Map();
  for (const line of lines.filter((one) => one.startsWith("a="))) {
    const [, key, value = ""] = /^a=([^:]*):?(.*)$/.exec(line);
    attributes.set(key, [...(attributes.get(key) ?? []), value]);
  }
  const all = (key) => attributes.get(key) ?? [];
  const one = (key, form) => {
    if (all(key).length !== 1 || !form.test(all(key)[0])) fail(key);
    return all(key)[0];
  };
  const integer = (key, absent, least, most) => {
    if (!all(key).length) return absent;
    const value = Number(one(key, /^[0-9]{1,16}$/));
    return value >= least && value <= most ? value : fail(key);
  };
  if (one("setup", /^/) !== setup || attributes.has("ice-lite")) fail("setup");
  const prints = all("fingerprint").filter((value) => /^sha-256/i.test(value));
  const print = prints.length === 1 && /^sha-256 ([0-9A-F]{2}(?::[0-9A-F]{2}){31})$/i.exec(prints[0]);
  if (!print) fail("fingerprint");
  const found = all("candidate").map(candidate);
  const used = [...new Map(found.filter(Boolean).map((it) => [JSON.stringify(it), it])).values()];
  const most = used.length > 32 ? [...used].sort((a, b) => b.priority - a.priority).slice(0, 32) : used;
  return {
    ufrag: one("ice-ufrag", /^[A-Za-z0-9+/]{4,256}$/),
    password: one("ice-pwd", /^[A-Za-z0-9+/]{22,256}$/),
    fingerprint: unhex(print[1].replaceAll(":", "").toLowerCase()),
    setup,
    mid: one("mid", /^[A-Za-z0-9_-]{1,16}$/),
    sctp_port: integer("sctp-port", 5000, 1, 65535),
    max_message_size: integer("max-message-size", 65536, 0, 2 ** 53),
    complete:
      attributes.has("end-of-candidates") && !found.includes(null) && used.length > 0 && most.length === used.length,
    candidates: most,
  };
}
