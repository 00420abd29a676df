// Checks every file of golden vectors: each value is computed again from its inputs, never copied.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { x25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import * as agreement from "./lib/agreement.js";
import * as blame from "./lib/blame.js";
import { fingerprint, hex, join, list, safetyWords, same, taggedHash, u64, unhex, utf8 } from "./lib/bytes.js";
import * as ed25519 from "./lib/ed25519.js";
import { peerMessage, relayMessage } from "./lib/forms.js";
import * as frost from "./lib/frost.js";
import * as hpke from "./lib/hpke.js";
import { parse } from "./lib/json.js";
import * as keys from "./lib/keys.js";
import * as link from "./lib/link.js";
import * as messages from "./lib/messages.js";
import * as pairing from "./lib/pairing.js";
import * as relay from "./lib/relay.js";
import * as signaling from "./lib/signaling.js";
import * as signing from "./lib/signing.js";
import * as slots from "./lib/slots.js";
import * as wallet from "./lib/wallet.js";

const FOLDER = new URL("../vectors/", import.meta.url);
const load = (subject) => JSON.parse(readFileSync(new URL(`${subject}.json`, FOLDER), "utf8"));
const NOW = 1_800_000_000_000;

const equal = (value, expected, what) => assert.equal(value instanceof Uint8Array ? hex(value) : value, expected, what);
const refuses = (work, what) => assert.throws(work, undefined, what);
const accepts = (work) => {
  try {
    work();
    return true;
  } catch {
    return false;
  }
};
const person = (one) => ({ ...one, seed: unhex(one.seed), public_key: unhex(one.public_key) });
const bytesOf = (fields) => fields.map(unhex);
const checked = new Set();
const subject = (name, work) => {
  checked.add(name);
  test(name, () => work(load(name)));
};

subject("conventions", (v) => {
  for (const { tag, prefix, of_abc } of Object.values(v.tags)) {
    equal(sha256(utf8(tag)), prefix, tag);
    equal(taggedHash(tag, utf8("abc")), of_abc, tag);
  }
  for (const { tag, fields, hash } of v.tagged_hash) equal(taggedHash(tag, ...bytesOf(fields)), hash);
  for (const { number, bytes } of v.u64) equal(u64(number), bytes);
  for (const { items, fields } of v.listed) assert.deepEqual(list(bytesOf(items)).map(hex), fields);
  for (const it of v.signatures) {
    const fields = bytesOf(it.fields);
    equal(ed25519.publicKeyOf(unhex(it.seed)), it.public_key);
    equal(taggedHash(it.tag, ...fields), it.message);
    equal(ed25519.sign(unhex(it.seed), it.tag, ...fields), it.signature);
    assert.ok(ed25519.verify(unhex(it.public_key), unhex(it.signature), it.tag, ...fields));
  }
  for (const it of v.fingerprints) equal(fingerprint(unhex(it.public_key)), it.fingerprint);
  for (const it of v.safety_words) assert.deepEqual(safetyWords(unhex(it.digest)), it.words);
  assert.deepEqual([...v.sorted_names].reverse().sort(), v.sorted_names);
  for (const { text, accepted } of v.json) equal(accepts(() => parse(text)), accepted, text);
  for (const it of v.readings) equal(signing.signedBytes(it.reading, unhex(it.content)), it.signed);
  for (const it of v.readings_refused) equal(accepts(() => signing.signedBytes(it.reading, unhex(it.content))), it.accepted);
});

subject("ed25519", (v) => {
  for (const it of v.cases) {
    const [key, message, signature] = bytesOf([it.public_key, it.message, it.signature]);
    equal(ed25519.verifyMessage(key, message, signature), it.valid, it.what);
  }
});

subject("sealing", (v) => {
  for (const it of v.keys) {
    const [seed, key] = bytesOf([it.seed, it.public_key]);
    equal(ed25519.publicKeyOf(seed), it.public_key);
    equal(hpke.secretOf(seed), it.x25519_secret);
    equal(x25519.getPublicKey(hpke.secretOf(seed)), it.x25519_public);
    equal(hpke.mapped(key), it.x25519_public);
  }
  for (const it of v.seals) {
    const [sender, recipient, topic, aad, ephemeral, plaintext, sealed] = bytesOf([
      it.sender, it.recipient, it.topic, it.aad, it.ephemeral, it.plaintext, it.sealed,
    ]);
    const [from, to] = [sender, recipient].map(ed25519.publicKeyOf);
    const about = { purpose: it.purpose, topic, aad };
    equal(hpke.info(it.purpose, from, to, topic), it.info);
    equal(hpke.seal(sender, to, plaintext, { ...about, ephemeral }), it.sealed);
    equal(hpke.open(recipient, from, sealed, about), it.plaintext);
  }
  const me = unhex(v.do_not_open.recipient);
  for (const it of v.do_not_open.cases) {
    const about = { purpose: it.purpose, topic: unhex(it.topic), aad: unhex(it.aad) };
    refuses(() => hpke.open(me, unhex(it.sender), unhex(it.sealed), about), it.why);
  }
  for (const it of v.public_keys) equal(ed25519.isUsable(unhex(it.public_key)), it.usable, it.what);
});

subject("signaling", (v) => {
  for (const { url, origin } of v.origins) {
    if (origin === "refused") refuses(() => signaling.origin(url), url);
    else equal(signaling.origin(url), origin, url);
  }
  const seed = unhex(v.people[0].seed);
  for (const it of v.registrations) {
    const fields = [it.origin, unhex(it.challenge), it.room, it.peer_id];
    equal(taggedHash("mpcnode/register/v1", ...fields), it.hash);
    equal(signaling.register(seed, ...fields), it.signature);
    const { type, peer_id, room = "public", public_key, signature } = parse(it.frame);
    assert.deepEqual(
      { type, peer_id, room, public_key, signature },
      { type: "register", peer_id: it.peer_id, room: it.room, public_key: v.people[0].public_key, signature: it.signature },
    );
  }
  const codes = new Set(
    "invalid_message message_too_big invalid_peer_id invalid_room invalid_signature already_registered not_registered unknown_peer".split(" "),
  );
  for (const { code } of v.refused) assert.ok(codes.has(code.split(",")[0]), code);
  const untouched = v.talk.find((step) => step.what.startsWith("3 says") && step.what.includes('"relay"'));
  assert.deepEqual(untouched.heard, [{ connection: 1, frame: '{"type":"relay","from":"plain","data":{"n": 1.50,"n":2}}' }]);
  const challenges = new Map();
  for (const { what, heard } of v.talk) {
    const [connection, , ...rest] = what.split(" ");
    for (const { frame } of heard.filter((it) => it.frame.includes('"welcome"'))) challenges.set(connection, parse(frame).challenge);
    const said = what.includes(" says ") && parse(rest.join(" ").replace(/"data":.*}$/, '"data":{}}'));
    if (!said?.signature) continue;
    const fields = ["ws://127.0.0.1:9000", unhex(challenges.get(connection)), "public", said.peer_id];
    assert.ok(ed25519.verify(unhex(said.public_key), unhex(said.signature), "mpcnode/register/v1", ...fields));
  }
  const welcome = parse(v.talk[0].heard[0].frame);
  assert.deepEqual(Object.keys(welcome).sort(), ["challenge", "ice_servers", "limits", "type", "version"]);
});

subject("relay", (v) => {
  const people = v.people.map(person);
  const says = { alice: [], bob: [] };
  const drawn = { alice: [], bob: [] };
  // What each end draws: the nonces of its hellos, in order, each once.
  for (const { from, data } of v.talk) {
    const tree = parse(data);
    if (tree.type === "hello" && !drawn[from].includes(tree.nonce)) drawn[from].push(tree.nonce);
  }
  drawn.bob.push("00".repeat(32));
  const ends = {};
  for (const [i, one] of people.entries()) {
    const other = people[1 - i];
    ends[one.peer_id] = new relay.Conversation(one, other, drawn[one.peer_id], NOW, (said) =>
      says[one.peer_id].push(said),
    );
    ends[one.peer_id].ephemerals = v.talk.filter((it) => it.from === one.peer_id && it.ephemeral).map((it) => unhex(it.ephemeral));
  }
  const [proposal, response, start] = v.talk.filter((it) => it.gives.startsWith("{")).map((it) => it.gives);
  ends.alice.say(proposal, NOW + 120_000);
  for (const [at, step] of v.talk.entries()) {
    if (step.gives === response) ends.bob.say(response, NOW + 120_000);
    if (step.gives === start) ends.alice.say(start, NOW + 120_000);
    const said = says[step.from].shift();
    assert.deepEqual(said, parse(step.data), `step ${at}`);
    if (said.type === "hello") {
      const it = relayHello(said);
      equal(taggedHash("mpcnode/hello/v1", ...relay.helloFields(it, step.from, step.to)), step.signs);
    }
    const taken = ends[step.to].receive(step.data);
    if (typeof taken === "string") equal(taken, step.gives);
    else assert.deepEqual(taken, relayMessage(parse(step.gives)));
  }
  for (const { what, at, data, gives, says: expected } of v.after) {
    if (gives === "refused") refuses(() => ends[at].receive(data), what);
    else equal(ends[at].receive(data), gives, what);
    assert.deepEqual(says[at].splice(0).map((it) => it.type), expected, what);
  }
  for (const { milliseconds_late, gives } of v.expired) equal(milliseconds_late > 300_000 ? "nothing" : "opened", gives);

  for (const sequences of v.sequences) {
    const window = new relay.Window();
    for (const { sequence, new: isNew } of sequences) equal(window.take(sequence), isNew);
  }
  for (const { ahead, since, apart } of v.clocks) equal(relay.apart(ahead, since), apart);

  const { nonces, plaintext, ephemeral, sealed, answer } = v.unsupported;
  const topic = relay.topic("alice", "bob", unhex(nonces.alice), unhex(nonces.bob));
  const about = { purpose: "relay", topic, aad: new Uint8Array(0) };
  const [alice, bob] = people;
  equal(hpke.seal(alice.seed, bob.public_key, utf8(plaintext), { ...about, ephemeral: unhex(ephemeral) }), sealed);
  refuses(() => relay.openEnvelope(hpke.open(bob.seed, alice.public_key, unhex(sealed), about)));
  const cancel = relayMessage(parse(answer));
  assert.equal(cancel.code, "unsupported");
  equal(cancel.session_id, parse(plaintext).topic);
});

function relayHello({ type, public_key, nonce, answering, ...rest }) {
  return { ...rest, capabilities: [], nonce: unhex(nonce), answering: answering && unhex(answering) };
}

/** Recompute one agreement; give what the session goes on with. */
function checkAgreement(v, people) {
  const proposal = relayMessage(parse(v.proposal));
  const begun = relayMessage(parse(v.start));
  const byName = Object.fromEntries(people.map((one) => [one.peer_id, one]));
  const hash = agreement.proposalHash(proposal);
  equal(hash, v.proposal_hash);
  const proposer = people.find((one) => same(agreement.sessionId(one.public_key, proposal.salt), proposal.session_id));
  const chosen = begun.chosen.map((one) => {
    const name = proposal.participants.find((it) => it.identifier === one.identifier).peer_id;
    const response = relayMessage(parse(v.responses[name]));
    const signature = agreement.acceptance(byName[name].seed, hash, response.nonce, response.terms);
    assert.deepEqual(
      [response.session_id, response.proposal, response.signature],
      [proposal.session_id, hash, signature],
    );
    assert.ok(agreement.isAccepted(byName[name].public_key, hash, response));
    return { identifier: one.identifier, nonce: response.nonce, terms: response.terms, signature };
  });
  assert.deepEqual([begun.session_id, begun.proposal, begun.chosen], [proposal.session_id, hash, chosen]);
  equal(agreement.start(proposer.seed, hash, begun.mesh, chosen), hex(begun.signature));
  equal(agreement.agreed(hash, chosen), v.agreed);
  return { proposal, chosen, agreed: unhex(v.agreed) };
}

subject("agreement", (v) => {
  const people = v.people.map(person);
  for (const it of v.agreements) checkAgreement(it, people);
  assert.deepEqual(relayMessage(parse(v.refusal)).accepted, false);
  for (const text of [...v.cancels, ...v.certificate]) relayMessage(parse(text));
  for (const { public_key, signature } of relayMessage(parse(v.certificate[1])).signatures)
    assert.ok(ed25519.verify(public_key, signature, "mpcnode/ready/v1", relayMessage(parse(v.certificate[1])).epoch));
  for (const { why, text } of v.refused) refuses(() => relayMessage(parse(text)), why);
  const [alice, bob] = people;
  const who = { proposer: "alice", key: alice.public_key, me: "bob", myKey: bob.public_key, now: NOW };
  for (const { what, proposal, accepted } of v.checked)
    equal(agreement.isAcceptable(relayMessage(parse(proposal)), who), accepted, what);
  const proposal = relayMessage(parse(v.agreements[0].proposal));
  const mine = relayMessage(parse(v.agreements[0].responses.bob));
  for (const { what, needed, start, verdict } of v.starts) {
    const begun = relayMessage(parse(start));
    equal(agreement.judgeStart(begun, proposal, { proposer: "alice", me: "bob", mine, needed }), verdict, what);
  }
});

subject("link", (v) => {
  const mesh = unhex(v.mesh);
  const ends = v.people.map(person).map((one) => ({ ...one, fingerprint: unhex(v.fingerprints[one.peer_id]) }));
  for (const [i, me] of ends.entries()) {
    const other = ends[1 - i];
    const said = v.channel_open[me.peer_id];
    equal(link.openChannel(me.seed, mesh, me, other), said.signature);
    assert.ok(link.isFrom(peerMessage(parse(said.text)), mesh, other, me));
  }
  const [alice, bob] = ends;
  for (const { why, text, fingerprints } of v.refused_by_bob) {
    const seen = [bob, alice].map((one) => ({ ...one, fingerprint: unhex(fingerprints[one.peer_id]) }));
    assert.ok(!link.isFrom(peerMessage(parse(text)), mesh, ...seen), why);
  }
  assert.equal(peerMessage(parse(v.announcement)).payload.signature, undefined);
  const shown = ({ fingerprint: print, ...rest }) => ({ ...rest, fingerprint: hex(print) });
  assert.deepEqual(shown(link.read(v.written.sdp, "actpass")), v.written.description);
  for (const { what, setup, sdp, description } of v.read) {
    if (description === "refused") refuses(() => link.read(sdp, setup), what);
    else assert.deepEqual(shown(link.read(sdp, setup)), description, what);
  }
  for (const { candidate, used } of v.candidates) {
    if (used === "refused") refuses(() => link.candidate(candidate), candidate);
    else assert.deepEqual(link.candidate(candidate) ?? "not used", used, candidate);
  }
  for (const text of v.signals) relayMessage(parse(text));
});

subject("messages", (v) => {
  for (const { text } of v.messages) peerMessage(parse(text));
  for (const { why, text } of v.refused) refuses(() => peerMessage(parse(text)), why);
  const filled = (size) => utf8(`{${" ".repeat(size - 2)}}`);
  for (const { size, frames, first_bytes, sha256: whole } of v.framing.split) {
    const made = messages.split(filled(size));
    assert.deepEqual(made.map((frame) => frame.length), frames);
    assert.deepEqual(made.slice(0, 2).map((frame) => hex(frame.slice(0, 5))), first_bytes);
    equal(sha256(join(...made)), whole);
    if (size > 1_000_000) continue;
    const joiner = new messages.Joiner();
    equal(made.map((frame) => joiner.feed(frame)).at(-1).length, size);
  }
  for (const { why, frames } of v.framing.refused) {
    const joiner = new messages.Joiner();
    const made = frames.map(({ starts, size }) => {
      const frame = new Uint8Array(size).fill(0x20);
      frame.set(unhex(starts));
      return frame;
    });
    made.slice(0, -1).forEach((frame) => joiner.feed(frame));
    refuses(() => joiner.feed(made.at(-1)), why);
  }
  for (const { pieces, says } of v.reports)
    assert.deepEqual(pieces % 3 === 0 ? [hex(messages.report(pieces))] : [], says);
  for (const { what, steps } of v.received) {
    const incoming = new messages.Incoming();
    for (const { step, verdict } of steps) {
      const [kind, number] = step.split(" ");
      if (kind === "channel") incoming.newChannel();
      else if (kind === "begin") incoming.begin();
      else equal(incoming.take(Number(number), kind === "end"), verdict, `${what}: ${step}`);
    }
  }
  const out = new messages.Outgoing();
  for (const { what, frames } of v.delivery) {
    let said;
    const heard = what.startsWith("hears") && peerMessage(parse(what.slice(6)));
    if (what.startsWith("says")) {
      const { payload } = parse(frames[0]);
      said = out.say(what.slice(5), payload);
    } else if (heard) {
      said = heard.type === "ping" ? [{ type: "ack", payload: { msg_id: heard.msg_id } }] : out.acknowledged(heard.payload.msg_id);
    } else said = out.newChannel();
    assert.deepEqual(said, frames.map((frame) => parse(frame)), what);
  }
});

subject("frost", (v) => {
  for (const it of v.suites) {
    const suite = frost.SUITES[it.suite];
    const m = unhex(it.hashes_of);
    equal(suite.header, it.header);
    equal(suite.encodeElement(suite.Point.BASE), it.generator);
    for (const { identifier, bytes } of it.identifiers) equal(frost.identifier(suite, identifier), bytes);
    for (const name of ["H1", "H2", "H3", "HDKG"]) equal(suite.encodeScalar(suite[name](m)), it[name], name);
    for (const name of ["H4", "H5"]) equal(suite[name](m), it[name], name);
  }
  for (const { number, bytes } of v.varints) equal(frost.varint(number), bytes);
  for (const it of v.packages) {
    const suite = frost.SUITES[it.suite];
    const [a0, a1, k, d, e] = it.drawn.map(unhex).map((bytes) => suite.drawScalar(bytes));
    const { identifier: i, threshold, package: first } = it.round1;
    equal(frost.makeRound1(suite, i, [a0, a1], k), first);
    const read = frost.readRound1(suite, threshold, unhex(first));
    assert.ok(frost.proves(suite, i, read));
    assert.ok(!frost.proves(suite, i, frost.readRound1(suite, threshold, unhex(it.wrong_proof))));
    assert.ok(!frost.proves(suite, i + 1, read));
    equal(frost.makeRefresh(suite, [a1]), it.refresh.package);
    frost.readRefresh(suite, threshold, unhex(it.refresh.package));
    const share = frost.evaluate(suite, [a0, a1], it.round2.to);
    equal(frost.makeRound2(suite, share), it.round2.package);
    assert.ok(suite.times(share).equals(frost.evaluateCommitment(suite, read.commitment, it.round2.to)));
    equal(frost.makeCommitments(suite, suite.times(d), suite.times(e)), it.signing_commitments);
    equal(suite.encodeScalar(d), it.signature_share);
    const [A0, A1] = read.commitment;
    equal(frost.makeKeyPackage(suite, 1, share, suite.times(share), A0, 2), it.key_package);
    equal(frost.makePublicKeyPackage(suite, [[1, suite.times(share)], [2, A1]], A0, 2), it.public_key_package);
    for (const { why, package: data } of it.malformed_round1) refuses(() => frost.readRound1(suite, 2, unhex(data)), why);
  }
  const taproot = frost.SUITES["FROST-secp256k1-SHA256-TR-v1"];
  for (const it of v.taproot) {
    const tweaked = frost.tweak(taproot, taproot.decodeElement(unhex(it.group_public_key)), unhex(it.merkle_root));
    equal(taproot.encodeElement(tweaked.key), it.verifying_key);
  }
});

const readStatement = (it) => ({
  ...it,
  wallet_id: unhex(it.wallet_id),
  epoch_id: unhex(it.epoch_id),
  previous: it.previous && unhex(it.previous),
  abandoned: bytesOf(it.abandoned),
  roster: it.roster.map((one) => ({ ...one, public_key: unhex(one.public_key) })),
  suites: it.suites.map((one) => ({
    suite: one.suite,
    group_public_key: unhex(one.group_public_key),
    verifying_shares: bytesOf(one.verifying_shares),
  })),
  chain_code_hash: unhex(it.chain_code_hash),
  transcript: unhex(it.transcript),
});

function checkEpoch(result, v) {
  equal(result.context, v.context);
  const statement = readStatement(v.statement);
  const { roster, ...rest } = result.statement;
  const { roster: expected, epoch_id, ...others } = statement;
  assert.deepEqual(rest, others);
  assert.deepEqual(roster.map(({ seed, ...one }) => one), expected);
  equal(result.epochId, v.statement.epoch_id);
  const certificate = result.certificate.map((one) => ({
    public_key: hex(one.public_key),
    signature: hex(one.signature),
  }));
  assert.deepEqual(certificate, v.certificate);
  for (const one of result.certificate)
    assert.ok(ed25519.verify(one.public_key, one.signature, "mpcnode/ready/v1", result.epochId));
}

function checkShares(result, shares) {
  for (const [place, one] of shares.entries())
    for (const { suite, shares: mine } of result.keys) equal(frost.SUITES[suite].encodeScalar(mine[place]), one[suite]);
}

/** Compare messages with those of the vectors, as `{round, from, to, lane, data, echo}`. */
function checkMessages(said, recorded, session) {
  const key = (it) => [it.round, it.from, it.to ?? 0, it.lane ?? ""].join(" ");
  const expected = Object.entries(recorded).flatMap(([round, all]) =>
    all.map(({ from, to, text }) => {
      const { type, payload } = peerMessage(parse(text));
      equal(type === "round" ? payload.round : type, round);
      equal(payload.session_id, hex(session));
      return [key({ round, from, to, lane: payload.lane }), [hex(payload.data), payload.echo && hex(payload.echo)]];
    }),
  );
  const made = said.map((it) => [key(it), [hex(it.data), it.echo && hex(it.echo)]]);
  assert.deepEqual(Object.fromEntries(made), Object.fromEntries(expected));
  equal(made.length, expected.length);
}

function checkKeygen(v) {
  const people = v.people.map(person);
  const { proposal, agreed } = checkAgreement(v.agreement, people);
  const session = { kind: "keygen", suites: proposal.suites, threshold: proposal.threshold, agreed, id: proposal.session_id };
  const result = keys.run(people, v.random.map((one) => one.drawn), session);
  checkEpoch(result, v);
  equal(result.echo, v.echo);
  assert.deepEqual(safetyWords(result.words), v.words);
  equal(result.chain_code, v.chain_code);
  equal(result.document_key, v.document_key);
  return { people, session, result };
}

subject("keygen", (v) => {
  checkKeygen(v.three_of_five);
  const { people, session, result } = checkKeygen(v.two_of_three);
  checkShares(result, v.two_of_three.shares);
  checkMessages(keys.messages(result, session, v.two_of_three.ephemerals), v.two_of_three.messages, session.id);
  const evidence = result.members.map((one) => join(one.fresh, ...one.digests, keys.promise(one, session.agreed)));
  equal(join(session.agreed, ...evidence), v.two_of_three.evidence);
  blame.readEvidence(unhex(v.two_of_three.evidence), people, 3);
});

subject("refresh", (v) => {
  const people = v.people.map(person);
  const { proposal, chosen, agreed } = checkAgreement(v.agreement, people);
  const statement = readStatement(v.previous.statement);
  equal(keys.epochId(statement), v.previous.statement.epoch_id);
  const shares = v.previous.shares.map((one) =>
    Object.fromEntries(proposal.suites.map((suite) => [suite, unhex(one[suite])])),
  );
  assert.deepEqual(proposal.terms, [statement.wallet_id, statement.epoch_id]);
  const named = [...new Set(chosen.flatMap((one) => one.terms.map(hex)))].sort();
  const session = {
    kind: "refresh",
    suites: proposal.suites,
    threshold: proposal.threshold,
    agreed,
    previous: { statement, shares },
    abandoned: named.map(unhex),
  };
  const result = keys.run(people, v.random.map((one) => one.drawn), session);
  checkEpoch(result, v);
  checkShares(result, v.shares);
  checkMessages(keys.messages(result, session, v.ephemerals), v.messages, proposal.session_id);
});

subject("signing", (v) => {
  const people = v.people.map(person);
  const statement = readStatement(v.statement);
  equal(keys.epochId(statement), v.statement.epoch_id);
  for (const it of v.sessions) {
    const { proposal, chosen, agreed } = checkAgreement(it.agreement, people);
    const [wallet_id, epoch_id, reading, root, ...contents] = proposal.terms;
    const [suite] = proposal.suites;
    assert.deepEqual([wallet_id, epoch_id], [statement.wallet_id, statement.epoch_id]);
    const readingName = new TextDecoder().decode(reading);
    const signers = chosen.map((one, place) => ({
      ...people.find((it_) => it_.identifier === one.identifier),
      share: unhex(v.shares.find((share) => share.identifier === one.identifier)[suite]),
      drawn: it.random[place].drawn,
    }));
    const result = signing.run({
      agreed,
      session_id: proposal.session_id,
      wallet_id,
      epoch_id,
      suite,
      group_public_key: statement.suites.find((one) => one.suite === suite).group_public_key,
      threshold: proposal.threshold,
      signers,
      reading: readingName,
      messages: contents.map((content) => signing.signedBytes(readingName, content)),
      roots: suite.includes("-TR-") ? [root] : [],
    });
    equal(result.descriptor, it.descriptor, it.what);
    equal(result.context, it.context);
    equal(result.verifyingKey, it.verifying_key);
    assert.deepEqual(result.signatures.map(hex), it.signatures);
    checkMessages(result.said, it.messages, proposal.session_id);
    for (const [k, signature] of result.signatures.entries()) {
      assert.ok(signing.isValid(suite, result.verifyingKey, unhex(it.signed[k]), signature));
      signature[40] ^= 1;
      assert.ok(!signing.isValid(suite, result.verifyingKey, unhex(it.signed[k]), signature));
    }
    const evidence = result.signers.map((one) => join(one.fresh, ...one.digests, one.signature));
    equal(join(result.descriptor, ...evidence), it.evidence);
  }
});

subject("wallet", (v) => {
  for (const { what, body, root, file } of v.files) {
    const derived = wallet.rootOf(v.passphrase, JSON.parse(file).kdf);
    equal(derived, root, what);
    const opened = wallet.openFile(file, derived);
    equal(opened.body, body);
    const { header } = opened;
    const secret = wallet.readBody(opened.body);
    for (const epoch of header.epochs) {
      const roster = epoch.roster.map(({ identity_key, ...one }) => ({ ...one, public_key: identity_key }));
      const statement = readStatement({ ...epoch, roster, wallet_id: header.wallet_id });
      equal(keys.epochId(statement), epoch.epoch_id);
      equal(taggedHash("mpcnode/chain-code/v1", secret.chainCode), epoch.chain_code_hash);
      for (const { public_key, signature } of epoch.signatures)
        assert.ok(ed25519.verify(unhex(public_key), unhex(signature), "mpcnode/ready/v1", statement.epoch_id));
      const mine = secret.shares.filter((share) => same(share.epoch_id, statement.epoch_id));
      equal(mine.length, epoch.state === "retired" ? 0 : epoch.suites.length);
      const place = epoch.roster.findIndex((one) => one.peer_id === header.peer_id);
      for (const { suite: id, protocol, data } of mine) {
        const suite = frost.SUITES[id];
        equal(protocol, "frost");
        const verifying = suite.encodeElement(suite.times(suite.decodeScalar(data)));
        equal(verifying, epoch.suites.find((one) => one.suite === id).verifying_shares[place]);
      }
    }
    refuses(() => wallet.openFile(file.replace('"words"', '"nobody"'), derived), "an altered header");
  }
});

test("the file of an identity", () => {
  const { passphrase, identity } = load("wallet");
  const opened = wallet.openFile(identity.file, wallet.rootOf(passphrase, JSON.parse(identity.file).kdf));
  equal(opened.body, identity.seed);
  equal(ed25519.publicKeyOf(opened.body), opened.header.public_key);
});

subject("blame", (v) => {
  const about = (bound) => ({ bound: unhex(bound), people: v.people.map(person), digests: v.digests });
  for (const { what, bound, mine, theirs, proved } of v.cases)
    assert.deepEqual(blame.equivocators(unhex(mine), unhex(theirs), about(bound)), proved, what);
  const { bound, mine } = v.cases[0];
  for (const theirs of v.malformed) refuses(() => blame.equivocators(unhex(mine), unhex(theirs), about(bound)));
});

subject("pairing", (v) => {
  equal(v.words.length, 256);
  for (const { text, accepted, code, slot, password } of v.codes) {
    equal(accepts(() => pairing.parseCode(text)), accepted, text);
    if (!accepted) continue;
    const read = pairing.parseCode(text);
    assert.deepEqual([read.code, read.slot, hex(read.password)], [code, slot, password]);
  }
  for (const made of [v.handshake, v.handshake_that_invites]) {
    const { ends, key, root, ...it } = made;
    const [inviter, joiner] = ends;
    const [password, hash] = bytesOf([it.password, it.handshake]);
    equal(pairing.handshake(it.slot, unhex(inviter.message), unhex(joiner.message)), it.handshake);
    equal(pairing.root(hash, unhex(key)), root);
    equal(pairing.shared(unhex(root), unhex(inviter.public_key), unhex(joiner.public_key)), it.shared);
    for (const [one, other] of [ends, [joiner, inviter]]) {
      const [scalar, mine, theirs] = bytesOf([one.scalar, one.message, other.message]);
      equal(pairing.messageOf(password, scalar), one.message);
      equal(pairing.exchangedKey(password, scalar, mine, theirs), key);
      refuses(() => pairing.exchangedKey(password, scalar, mine, mine), "its own message");
      const sealKey = pairing.sealKey(unhex(root), one.role);
      equal(sealKey, one.seal_key);
      const [exchange, ...seals] = one.says.map((text) => parse(text));
      assert.deepEqual(exchange, { type: "exchange", message: one.message, version: 1 });
      const said = seals.map(({ type, body }, count) => {
        equal(type, "sealed");
        const plain = pairing.open(sealKey, count, unhex(body));
        equal(pairing.seal(sealKey, count, plain), body);
        refuses(() => pairing.open(unhex(other.seal_key), count, unhex(body)), "the other end's key");
        return parse(new TextDecoder().decode(plain));
      });
      const { signature, ...card } = said[0];
      assert.deepEqual(card, { type: "card", moniker: one.peer_id, public_key: one.public_key });
      equal(ed25519.sign(unhex(one.seed), "mpcnode/card/v1", hash, one.role, one.peer_id), signature);
      const invitation = made === v.handshake || one !== inviter ? {} : { invitation: v.invitations[1].link };
      assert.deepEqual(said.slice(1), [{ type: "met", ...invitation }]);
    }
  }
  for (const { link, join, join_answers, ...invitation } of v.invitations) {
    assert.deepEqual(relayMessage(parse(join)).secret, unhex(invitation.secret));
    for (const text of join_answers) equal(hex(relayMessage(parse(text)).invitation), invitation.room);
    const [room, public_key, secret] = bytesOf([invitation.room, invitation.public_key, invitation.secret]);
    equal(pairing.linkOf({ ...invitation, room, public_key, secret }), link);
    assert.deepEqual(pairing.parseLink(link), { ...invitation, link });
  }
  for (const { link, accepted } of v.links_refused) equal(accepts(() => pairing.parseLink(link)), accepted, link);
});

subject("slots", (v) => {
  for (const talk of [v.meeting, v.third, v.gone, v.late]) {
    for (const { what, heard } of talk) {
      const [connection, said] = what.split(" says ");
      const message = said && slots.said(said);
      for (const one of heard) {
        const answer = slots.heard(one.frame);
        const ends = answer.type === "error" ? (slots.closesWith[answer.code] ?? 1008) : answer.type === "released" ? 1000 : undefined;
        equal(one.closed, ends, one.frame);
        if (answer.type !== "message") continue;
        assert.notEqual(String(one.connection), connection);
        equal(answer.body, hex(message.body));
      }
    }
  }
  const codes = (talk) => talk.flatMap(({ heard }) => heard.map(({ frame }) => slots.heard(frame).code)).filter(Boolean);
  assert.deepEqual(codes(v.third), ["crowded", "crowded", "crowded"]);
  for (const { frame, heard } of v.refused) {
    const { code } = slots.heard(heard);
    equal(code === "invalid_message", !accepts(() => slots.said(frame)), frame);
  }
});

test("every file of vectors is checked", () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
  assert.deepEqual(files.map((name) => name.slice(0, -5)).sort(), [...checked].sort());
});
