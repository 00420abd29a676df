// PROTOCOL, Key generation and Refresh: every value of a session, from what each participant drew.
import { join, list, same, taggedHash, u64, unhex, compare } from "./bytes.js";
import { sign } from "./ed25519.js";
import * as frost from "./frost.js";
import { SUITES } from "./frost.js";
import { seal } from "./hpke.js";

export function context(bound, members) {
  const fields = members.flatMap((one) => [u64(one.identifier), one.fresh]);
  return taggedHash("mpcnode/context/v1", bound, u64(members.length), ...fields);
}

export function echo(bound, members) {
  const fields = members.flatMap((one) => [u64(one.identifier), one.fresh, ...list(one.digests)]);
  return taggedHash("mpcnode/echo/v1", bound, u64(members.length), ...fields);
}

export function promise(one, bound) {
  const fields = [bound, u64(one.identifier), one.fresh, ...list(one.digests)];
  return sign(one.seed, "mpcnode/signed-digest/v1", ...fields);
}

export function digest(bound, suite, one, data) {
  return taggedHash("mpcnode/commitment-digest/v1", bound, suite, u64(one.identifier), one.fresh, data);
}

export function epochId(it) {
  return taggedHash(
    "mpcnode/epoch/v1",
    it.wallet_id,
    u64(it.number),
    it.previous ?? new Uint8Array(0),
    ...list(it.abandoned),
    it.kind,
    u64(it.threshold),
    u64(it.roster.length),
    ...it.roster.flatMap((one) => [u64(one.identifier), one.peer_id, one.public_key]),
    u64(it.suites.length),
    ...it.suites.flatMap((one) => [one.suite, one.group_public_key, ...list(one.verifying_shares)]),
    it.chain_code_hash,
    it.transcript,
  );
}

export function certificate(people, id) {
  return people
    .map((one) => ({ public_key: one.public_key, signature: sign(one.seed, "mpcnode/ready/v1", id) }))
    .sort((a, b) => compare(a.public_key, b.public_key));
}

/** What participants drew for a session, taken apart: fresh bytes, contribution (key generation alone), polynomials. */
function participants(people, drawn, { kind, suites, threshold, agreed }) {
  return people.map((person, at) => {
    const bytes = drawn[at].map(unhex);
    const one = { ...person, fresh: bytes.shift(), packages: {}, polynomials: {} };
    const generates = kind === "keygen";
    if (generates) one.contribution = bytes.shift();
    for (const id of suites) {
      const suite = SUITES[id];
      const scalars = Array.from({ length: generates ? threshold : threshold - 1 }, () => suite.drawScalar(bytes.shift()));
      one.polynomials[id] = generates ? scalars : [0n, ...scalars];
      one.packages[id] = generates
        ? frost.makeRound1(suite, one.identifier, scalars, suite.drawScalar(bytes.shift()))
        : frost.makeRefresh(suite, scalars);
    }
    const contribution = generates
      ? [taggedHash("mpcnode/contribution/v1", agreed, u64(one.identifier), one.fresh, one.contribution)]
      : [];
    one.digests = [...contribution, ...suites.map((id) => digest(agreed, id, one, one.packages[id]))];
    return one;
  });
}

function commitmentOf(suite, threshold, one, generates) {
  if (!generates) return [suite.Point.ZERO, ...frost.readRefresh(suite, threshold, one.packages[suite.id])];
  const read = frost.readRound1(suite, threshold, one.packages[suite.id]);
  if (!frost.proves(suite, one.identifier, read)) throw new Error("a proof of knowledge that does not hold");
  return read.commitment;
}

/**
 * Run a key generation or refresh for everybody at once.
 *
 * @param session kind, suites, threshold, agreed; and for a refresh previous (statement and shares) and abandoned.
 */
export function run(people, drawn, session) {
  const { kind, suites, threshold, agreed, previous } = session;
  const generates = kind === "keygen";
  const members = participants(people, drawn, session);
  const bound = context(agreed, members);
  const heard = echo(bound, members);
  const keys = suites.map((id, at) => suiteKeys(SUITES[id], members, threshold, generates, previous, at));
  const transcript = taggedHash(
    "mpcnode/transcript/v1",
    bound,
    u64(members.length),
    ...members.flatMap((one) => [
      u64(one.identifier),
      ...list(one.digests),
      ...list(suites.map((id) => one.packages[id])),
    ]),
  );
  const parts = (from) => members.map((one) => one.contribution.slice(from, from + 32));
  const drawing = generates && {
    chain_code: taggedHash("mpcnode/chain-code/v1", bound, ...parts(0)),
    document_key: taggedHash("mpcnode/document-key/v1", bound, ...parts(32)),
    words: taggedHash(
      "mpcnode/safety-words/v1",
      bound,
      ...list(suites.flatMap((id) => members.map((one) => one.packages[id]))),
    ),
  };
  const statement = {
    wallet_id: generates ? taggedHash("mpcnode/wallet-id/v1", bound).slice(0, 16) : previous.statement.wallet_id,
    number: generates ? 0 : previous.statement.number + 1,
    previous: generates ? undefined : previous.statement.epoch_id,
    abandoned: generates ? [] : session.abandoned,
    kind,
    threshold,
    roster: people,
    suites: keys.map(({ shares, ...rest }) => rest),
    chain_code_hash: generates
      ? taggedHash("mpcnode/chain-code/v1", drawing.chain_code)
      : previous.statement.chain_code_hash,
    transcript,
  };
  const id = epochId(statement);
  return { members, context: bound, echo: heard, keys, ...drawing, statement, epochId: id, certificate: certificate(people, id) };
}

function suiteKeys(suite, members, threshold, generates, previous, at) {
  const commitments = members.map((one) => commitmentOf(suite, threshold, one, generates));
  const before = previous?.statement.suites[at];
  const shares = members.map((one, place) => {
    const dealt = members.map((dealer) => frost.evaluate(suite, dealer.polynomials[suite.id], one.identifier));
    dealt.forEach((share, dealer) => {
      if (!suite.times(share).equals(frost.evaluateCommitment(suite, commitments[dealer], one.identifier)))
        throw new Error("a share that does not fit its commitment");
    });
    const old = generates ? 0n : suite.decodeScalar(previous.shares[place][suite.id]);
    return suite.mod(old + dealt.reduce((total, share) => total + share, 0n));
  });
  const verifying = members.map((one, place) => {
    const change = suite.sum(commitments.map((one_) => frost.evaluateCommitment(suite, one_, one.identifier)));
    return generates ? change : suite.decodeElement(before.verifying_shares[place]).add(change);
  });
  shares.forEach((share, place) => {
    if (!suite.times(share).equals(verifying[place])) throw new Error("a share that does not fit its verifying share");
  });
  const some = members.slice(0, threshold).map((one) => one.identifier);
  const key = suite.sum(some.map((i, place) => suite.times(frost.lagrange(suite, i, some), verifying[place])));
  const expected = generates ? suite.sum(commitments.map(([A0]) => A0)) : suite.decodeElement(before.group_public_key);
  if (!key.equals(expected)) throw new Error("shares that are not of the key");
  return {
    suite: suite.id,
    group_public_key: suite.encodeElement(key),
    verifying_shares: verifying.map((point) => suite.encodeElement(point)),
    shares,
  };
}

/** Every message of the session, as `{round, from, to, lane, data, echo}`. */
export function messages(result, session, ephemerals) {
  const { kind, suites, agreed } = session;
  const said = [];
  for (const one of result.members) {
    const digests = join(agreed, one.fresh, ...one.digests, promise(one, agreed));
    said.push({ round: "digest", from: one.identifier, data: digests });
    const lanes = suites.map((id) => [id, one.packages[id]]);
    if (kind === "keygen") lanes.unshift([undefined, one.contribution]);
    for (const [lane, data] of lanes) said.push({ round: "commitment", from: one.identifier, lane, data, echo: result.echo });
    for (const id of suites)
      for (const to of result.members.filter((other) => other !== one)) {
        const share = frost.evaluate(SUITES[id], one.polynomials[id], to.identifier);
        const aad = taggedHash("mpcnode/share/v1", result.context, id, u64(one.identifier), u64(to.identifier));
        const found = ephemerals.find(
          (it) => it.from === one.identifier && it.to === to.identifier && it.suite === id,
        );
        const data = seal(one.seed, to.public_key, frost.makeRound2(SUITES[id], share), {
          purpose: "share",
          topic: result.context,
          aad,
          ephemeral: unhex(found.ephemeral),
        });
        said.push({ round: "share", from: one.identifier, to: to.identifier, lane: id, data });
      }
    const { signature } = result.certificate.find((it) => same(it.public_key, one.public_key));
    said.push({ round: "ready", from: one.identifier, data: join(result.epochId, signature) });
    const [last, names] =
      kind === "keygen" ? ["wallet_created", result.statement.wallet_id] : ["epoch_active", result.epochId];
    said.push({ round: last, from: one.identifier, data: names });
  }
  return said;
}
