// PROTOCOL, Agreement.
import { hex, list, same, taggedHash, u64 } from "./bytes.js";
import { isUsable, sign, verify } from "./ed25519.js";

const SUITES = ["FROST-ED25519-SHA512-v1", "FROST-secp256k1-SHA256-TR-v1", "FROST-secp256k1-SHA256-v1"];
const SKEW = 300_000;
const DAY = 86_400_000;

export function sessionId(key, salt) {
  return taggedHash("mpcnode/session-id/v1", key, salt).slice(0, 16);
}

export function proposalHash(it) {
  return taggedHash(
    "mpcnode/proposal/v1",
    it.session_id,
    it.salt,
    it.kind,
    it.wallet_name,
    u64(it.threshold),
    ...list(it.suites),
    u64(it.participants.length),
    ...it.participants.flatMap((one) => [u64(one.identifier), one.peer_id, one.public_key]),
    u64(it.expires),
    u64(it.answer_within),
    ...list(it.terms),
  );
}

export function acceptance(seed, proposal, nonce, terms) {
  return sign(seed, "mpcnode/acceptance/v1", proposal, nonce, ...list(terms));
}

export function isAccepted(key, proposal, { nonce, terms, signature }) {
  return verify(key, signature, "mpcnode/acceptance/v1", proposal, nonce, ...list(terms));
}

function acceptances(chosen) {
  return [u64(chosen.length), ...chosen.flatMap((one) => [u64(one.identifier), one.nonce, ...list(one.terms)])];
}

export function start(seed, proposal, mesh, chosen) {
  return sign(seed, "mpcnode/start/v1", proposal, mesh, ...acceptances(chosen));
}

export function agreed(proposal, chosen) {
  return taggedHash("mpcnode/agreed/v1", proposal, ...acceptances(chosen));
}

/** Judge a start as a participant does. */
export function judgeStart(begun, proposal, { proposer, me, mine, needed }) {
  const hash = proposalHash(proposal);
  const members = new Map(proposal.participants.map((one) => [one.identifier, one]));
  const chosen = begun.chosen.map((one) => members.get(one.identifier));
  const key = proposal.participants.find((one) => one.peer_id === proposer).public_key;
  const names = chosen.map((one) => one?.peer_id);
  const honest =
    same(begun.proposal, hash) &&
    chosen.every(Boolean) &&
    names.includes(me) &&
    names.includes(proposer) &&
    chosen.length >= needed &&
    begun.chosen.every((one, i) => isAccepted(chosen[i].public_key, hash, one)) &&
    verify(key, begun.signature, "mpcnode/start/v1", hash, begun.mesh, ...acceptances(begun.chosen));
  if (!honest) return "the proposer is not honest";
  const repeated = begun.chosen[names.indexOf(me)];
  return same(repeated.nonce, mine.nonce) ? "accepted" : "an answer of an earlier life";
}

/** Check a proposal to generate a key that came from `proposer`, as `me` does. */
export function isAcceptable(it, { proposer, key, me, myKey, now }) {
  const names = it.participants.map((one) => one.peer_id);
  const keys = it.participants.map((one) => hex(one.public_key));
  const once = (list) => new Set(list).size === list.length;
  const keyOf = (name) => keys[names.indexOf(name)];
  return (
    it.kind === "keygen" &&
    same(it.session_id, sessionId(key, it.salt)) &&
    names.includes(me) &&
    names.includes(proposer) &&
    keyOf(proposer) === hex(key) &&
    keyOf(me) === hex(myKey) &&
    once(names) &&
    once(keys) &&
    it.participants.every((one) => isUsable(one.public_key)) &&
    once(it.suites) &&
    it.suites.every((suite) => SUITES.includes(suite)) &&
    it.expires > now - SKEW &&
    it.expires < now + DAY + SKEW &&
    it.threshold <= names.length &&
    it.participants.every((one, i) => one.identifier === i + 1) &&
    same(names, [...names].sort()) &&
    it.terms.length === 0
  );
}
