// The forms of fields and messages (PROTOCOL, Conventions, Agreement, Link and Messages on a link).
import { hex, unhex } from "./bytes.js";

class Misfit extends Error {}

function no(why) {
  throw new Misfit(why);
}

const matching = (form) => (value) => (typeof value === "string" && form.test(value) ? value : no("form"));

export const name = matching(/^[A-Za-z0-9._-]{1,64}$/);
export const walletName = matching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/);
export const word = matching(/^[a-z_]{1,40}$/);
export const kind = matching(/^[a-z_]{1,20}$/);
export const suite = matching(/^[A-Za-z0-9-]{1,64}$/);
export const capability = matching(/^[a-z0-9_.-]{1,40}$/);
export const boolean = (value) => (typeof value === "boolean" ? value : no("boolean"));
export const text = (most) => (value) =>
  typeof value === "string" && [...value].length <= most ? value : no("text");
export const integer = (least = 0, most = Number.MAX_SAFE_INTEGER) => (value) =>
  Number.isSafeInteger(value) && value >= least && value <= most ? value : no("integer");
export const bytes = (least, most = least) => (value) => {
  if (typeof value !== "string" || value.length < 2 * least || value.length > 2 * most) no("bytes");
  const data = unhex(value);
  return hex(data) === value ? data : no("hexadecimal");
};
export const listOf = (form, least, most) => (value) =>
  Array.isArray(value) && value.length >= least && value.length <= most ? value.map(form) : no("list");
export const optional = (form) => Object.assign((value) => form(value), { optional: true, absent: undefined });
export const absentEmpty = (form, most, least = 0) =>
  Object.assign(listOf(form, least, most), { optional: true, absent: [] });

export function object(fields, check = () => true) {
  return (value) => {
    if (typeof value !== "object" || Array.isArray(value)) no("object");
    for (const key of Object.keys(value)) if (!Object.hasOwn(fields, key)) no(`unknown field ${key}`);
    const read = {};
    for (const [key, form] of Object.entries(fields)) {
      if (Object.hasOwn(value, key)) read[key] = form(value[key]);
      else if (form.optional) read[key] = form.absent;
      else no(`no ${key}`);
    }
    return check(read) ? read : no("fields that do not fit each other");
  };
}

const ascending = (list) => list.every((one, i) => i === 0 || list[i - 1].identifier < one.identifier);
const sizeOf = (terms) => terms.reduce((size, term) => size + term.length, 0);
const id = bytes(16);
const identifier = integer(1, 64);
const ms = integer();
const culprits = absentEmpty(name, 64);
const acceptanceTerms = absentEmpty(bytes(0, 9800), 8);

export const negotiation = {
  session_proposal: object(
    {
      session_id: id,
      salt: id,
      kind,
      wallet_name: walletName,
      threshold: integer(2, 64),
      suites: listOf(suite, 1, 4),
      participants: listOf(object({ identifier, peer_id: name, public_key: bytes(32) }), 2, 64),
      expires: ms,
      answer_within: integer(1, 86_400_000),
      terms: absentEmpty(bytes(0, 9800), 300),
    },
    (it) => ascending(it.participants) && sizeOf(it.terms) <= 9800,
  ),
  session_response: object(
    {
      session_id: id,
      proposal: bytes(32),
      accepted: boolean,
      nonce: optional(id),
      terms: acceptanceTerms,
      meshes: absentEmpty(id, 64),
      reason: optional(text(500)),
      signature: optional(bytes(64)),
    },
    (it) =>
      (it.accepted
        ? it.nonce && it.signature && it.reason === undefined
        : !it.nonce && !it.signature && !it.terms.length && !it.meshes.length) && sizeOf(it.terms) <= 128,
  ),
  session_start: object(
    {
      session_id: id,
      proposal: bytes(32),
      mesh: id,
      chosen: listOf(
        object(
          { identifier, nonce: id, terms: acceptanceTerms, signature: bytes(64) },
          (it) => sizeOf(it.terms) <= 128,
        ),
        2,
        64,
      ),
      signature: bytes(64),
    },
    (it) => ascending(it.chosen),
  ),
  session_cancel: object({ session_id: id, code: word, reason: text(500), culprits }),
};

export const relayed = {
  ...negotiation,
  offer: object({ mesh: id, attempt: integer(1, 1000), sdp: text(16_384) }),
  answer: object({ mesh: id, attempt: integer(1, 1000), sdp: text(16_384) }),
  "ice-candidate": object({
    mesh: id,
    attempt: integer(1, 1000),
    candidate: text(512),
    sdpMid: optional(text(32)),
    sdpMLineIndex: optional(integer()),
  }),
  certificate_request: object({ wallet: id, epoch: bytes(32) }),
  certificate: object(
    {
      wallet: id,
      epoch: bytes(32),
      signatures: listOf(object({ public_key: bytes(32), signature: bytes(64) }), 0, 128),
    },
    (it) => it.signatures.every((one, i, all) => i === 0 || hex(all[i - 1].public_key) < hex(one.public_key)),
  ),
  join: object({ invitation: id, secret: id }),
  join_answer: object({ invitation: id, refused: optional(word) }),
};

/** Take a message between nodes, `type` inside. */
export function relayMessage({ type, ...fields }) {
  if (!Object.hasOwn(relayed, type)) no(`unknown type ${type}`);
  return { type, ...relayed[type](fields) };
}

const round = { session_id: id, lane: optional(suite), data: bytes(0, 2 ** 21), echo: optional(bytes(32)) };
const named = object(round);

export const NAMED = ["commitment", "share", "ready", "wallet_created"];
export const payloads = {
  ...negotiation,
  channel_open: object({ peer_id: name, mesh: id, public_key: bytes(32), signature: optional(bytes(64)) }),
  mesh_ready: object({ mesh: id }),
  ...Object.fromEntries(NAMED.map((type) => [type, named])),
  round: object({ ...round, round: word }, (it) => !NAMED.includes(it.round)),
  ack: object({ msg_id: integer(1) }),
  ping: object({}),
  abort: object({ session_id: id, code: word, reason: text(500), culprits, evidence: optional(bytes(0, 2 ** 21)) }),
  idle: object({ mesh: id }),
};

/** Take a message of a data channel: `{type, payload, msg_id}`. */
export function peerMessage(tree) {
  const { type, payload, msg_id } = object({
    type: (value) => (typeof value === "string" && Object.hasOwn(payloads, value) ? value : no("type")),
    payload: (value) => value,
    msg_id: optional(integer(1)),
  })(tree);
  return { type, payload: payloads[type](payload), msg_id };
}
