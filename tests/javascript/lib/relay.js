// PROTOCOL, Sealed relay: hellos, and the place of a seal.
import { EMPTY, hex, list, same, taggedHash, u64, unhex, utf8 } from "./bytes.js";
import { isUsable, sign, verify } from "./ed25519.js";
import { absentEmpty, bytes, capability, integer, object, optional, relayMessage } from "./forms.js";
import { open, seal } from "./hpke.js";
import { parse } from "./json.js";

const hello = object({
  type: (value) => value,
  version: integer(1, 1),
  public_key: bytes(32),
  nonce: bytes(32),
  answering: optional(bytes(32)),
  time: integer(),
  capabilities: absentEmpty(capability, 32),
  signature: bytes(64),
});
const sealed = object({ type: (value) => value, body: bytes(48, 32_600) });
const envelope = object({
  topic: bytes(16),
  expires: integer(),
  sequence: integer(),
  message: (value) => value,
});

export function helloFields(it, sender, recipient) {
  const answered = it.answering ?? EMPTY;
  return [sender, recipient, it.nonce, answered, u64(it.version), u64(it.time), ...list(it.capabilities)];
}

export function topic(sender, recipient, senderNonce, recipientNonce) {
  return taggedHash("mpcnode/relay/v1", sender, recipient, senderNonce, recipientNonce);
}

export function topicOf(message) {
  return message.session_id ?? message.mesh ?? message.wallet;
}

export function openEnvelope(plaintext) {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(plaintext);
  const read = envelope(parse(text));
  const message = relayMessage(read.message);
  if (!same(topicOf(message), read.topic)) throw new Error("another topic");
  return { ...read, message };
}

const SKEW = 300_000;

/** By how much clocks differ at least: the hello was made at some time since our nonce was drawn. */
export function apart(ahead, since) {
  const least = ahead > 0 ? ahead : Math.min(0, ahead + since);
  return Math.abs(least) > SKEW ? least : 0;
}

/** The sequence numbers that were taken over one pair. */
export class Window {
  #seen = new Set();
  #highest = 0;

  take(number) {
    if (number <= this.#highest - 1024 || this.#seen.has(number)) return false;
    this.#seen.add(number);
    this.#highest = Math.max(this.#highest, number);
    return true;
  }
}

/** One end of a conversation with one peer, as far as one life of each goes; `drawn` gives its nonces. */
export class Conversation {
  #challenge = null;
  #pair = null;
  #kept = [];
  #greeted = false;
  #said;

  constructor(me, other, drawn, now, say) {
    Object.assign(this, { me, other, drawn, now });
    this.#said = say;
  }

  /** Say a message (its text), once introductions are made. */
  say(text, expires) {
    this.#kept.push({ text, expires, sequence: 0 });
    if (this.#pair) {
      this.#kept.at(-1).sequence = ++this.#pair.sent;
      this.#seal(this.#kept.at(-1));
    } else this.#greet();
  }

  #greet() {
    this.#greeted = true;
    this.#hello(this.#pair ? this.#pair.ours : this.#newest().nonce);
  }

  receive(text) {
    const tree = parse(text);
    if (tree.type === "sealed") return this.#open(sealed(tree));
    if (tree.type !== "hello") throw new Error("not a hello and not a seal");
    if (tree.version !== 1) return this.#foreign(tree);
    const it = hello(tree);
    const [from, to] = [this.other.peer_id, this.me.peer_id];
    const honest =
      verify(it.public_key, it.signature, "mpcnode/hello/v1", ...helloFields(it, from, to)) && isUsable(it.public_key);
    if (!honest) return "nothing"; // a name that proved its key is not held to it
    return this.#take(it);
  }

  #newest() {
    this.#challenge ??= { nonce: unhex(this.drawn.shift()) };
    return this.#challenge;
  }

  #hello(nonce, answering) {
    const it = { version: 1, public_key: this.me.public_key, nonce, answering, time: this.now, capabilities: [] };
    const signature = sign(this.me.seed, "mpcnode/hello/v1", ...helloFields(it, this.me.peer_id, this.other.peer_id));
    this.#said({
      type: "hello",
      version: 1,
      public_key: hex(it.public_key),
      nonce: hex(nonce),
      ...(answering ? { answering: hex(answering) } : {}),
      time: it.time,
      signature: hex(signature),
    });
  }

  #foreign(tree) {
    if (tree.answering === undefined) this.#hello(this.#newest().nonce, unhex(tree.nonce));
    return "nothing";
  }

  #take(it) {
    const [challenge, pair] = [this.#challenge, this.#pair];
    if (challenge && it.answering && same(it.answering, challenge.nonce)) {
      this.#challenge = null;
      this.#greeted = false;
      this.#pair = { key: it.public_key, ours: challenge.nonce, theirs: it.nonce, sent: 0, window: new Window() };
      for (const one of this.#kept) one.sequence = ++this.#pair.sent;
      if (!challenge.told || !same(challenge.told, it.nonce)) this.#hello(challenge.nonce, it.nonce);
      this.#kept.forEach((one) => this.#seal(one));
      return "introduced";
    }
    if (pair && same(it.public_key, pair.key) && same(it.nonce, pair.theirs)) {
      if (!it.answering) {
        this.#hello(pair.ours, it.nonce);
        this.#kept.forEach((one) => this.#seal(one));
      } else if (this.#greeted) {
        this.#greeted = false;
        this.#hello(pair.ours, it.nonce);
        this.#kept.forEach((one) => this.#seal(one));
      }
      return "nothing";
    }
    if (!it.answering || (pair && same(it.answering, pair.ours))) {
      const newest = this.#newest();
      this.#hello(newest.nonce, it.nonce);
      newest.told = it.nonce;
    }
    return "nothing";
  }

  /** The ephemeral keys of the seals to come, in order; the vectors say them. */
  ephemerals = [];

  #seal({ text, expires, sequence }) {
    if (expires <= this.now) return;
    const message = relayMessage(parse(text));
    const head = `{"topic":"${hex(topicOf(message))}","expires":${expires},"sequence":${sequence},"message":`;
    const ephemeral = this.ephemerals.shift();
    if (!ephemeral) return this.#said({ type: "sealed" });
    const body = seal(this.me.seed, this.#pair.key, utf8(`${head}${text}}`), {
      purpose: "relay",
      topic: topic(this.me.peer_id, this.other.peer_id, this.#pair.ours, this.#pair.theirs),
      aad: EMPTY,
      ephemeral,
    });
    this.#said({ type: "sealed", body: hex(body) });
  }

  #open({ body }) {
    const pair = this.#pair;
    let read;
    try {
      const place = topic(this.other.peer_id, this.me.peer_id, pair.theirs, pair.ours);
      read = openEnvelope(open(this.me.seed, pair.key, body, { purpose: "relay", topic: place, aad: EMPTY }));
    } catch {
      this.#greet();
      return "nothing";
    }
    if (!pair.window.take(read.sequence) || read.expires < this.now - SKEW) return "nothing";
    return read.message;
  }
}
