// PROTOCOL, Signing: readings, the descriptor, and every value of a session.
import { schnorr } from "@noble/curves/secp256k1.js";
import { join, list, taggedHash, u64, unhex } from "./bytes.js";
import { verifyMessage } from "./ed25519.js";
import * as frost from "./frost.js";
import { SUITES } from "./frost.js";
import { context, digest, echo, promise } from "./keys.js";

export function signedBytes(reading, content) {
  if (reading === "text") {
    new TextDecoder("utf-8", { fatal: true }).decode(content);
    return taggedHash("mpcnode/text/v1", content);
  }
  if (reading === "file") {
    if (content.length < 40 || content.length > 40 + 255) throw new Error("a SHA-256, a size and a name");
    if (content[32] || content[33] & 0xe0) throw new Error("a size is less than 2^53");
    new TextDecoder("utf-8", { fatal: true }).decode(content.slice(40));
    return taggedHash("mpcnode/file/v1", content.slice(0, 32));
  }
  if (reading === "hex") return content;
  throw new Error("no such reading");
}

export function descriptor(it) {
  return taggedHash(
    "mpcnode/signing-descriptor/v1",
    it.agreed,
    it.session_id,
    it.wallet_id,
    it.epoch_id,
    it.suite,
    it.group_public_key,
    u64(it.threshold),
    u64(it.signers.length),
    ...it.signers.flatMap((one) => [u64(one.identifier), one.peer_id, one.public_key]),
    it.reading,
    ...list(it.messages),
    u64(it.roots.length),
    ...it.roots.flatMap((root) => ["taproot-tweak", root]),
  );
}

/** Run a session for all signers at once; each of them has `share` and `drawn`. */
export function run(it) {
  const suite = SUITES[it.suite];
  const bound = descriptor(it);
  const stored = suite.decodeElement(it.group_public_key);
  const change = it.roots.length ? frost.tweak(suite, stored, it.roots[0]) : { negate: false, h: 0n, key: stored };
  const signers = it.signers.map((signer) => {
    const drawn = signer.drawn.map(unhex);
    const share = suite.mod((change.negate ? -1n : 1n) * suite.decodeScalar(signer.share) + change.h);
    const fresh = drawn.shift();
    const nonces = it.messages.map((_, index) =>
      ["hiding", "binding"].map((which) => {
        const random = taggedHash("mpcnode/nonce/v1", drawn.shift(), bound, u64(index), which);
        return suite.H3(join(random, suite.encodeScalar(share)));
      }),
    );
    const commitments = nonces.map(([d, e]) => [suite.times(d), suite.times(e)]);
    const listed = join(...commitments.map(([D, E]) => frost.makeCommitments(suite, D, E)));
    const one = { ...signer, share, fresh, nonces, commitments, listed };
    one.digests = [digest(bound, it.suite, one, listed)];
    one.signature = promise(one, bound);
    return one;
  });
  const within = context(bound, signers);
  const heard = echo(within, signers);
  const rounds = it.messages.map((message, index) => answer(suite, change.key, signers, message, index));
  const signatures = rounds.map(({ R, shares }) =>
    suite.encodeSignature(R, suite.mod(shares.reduce((total, z) => total + z, 0n))),
  );
  const said = signers.flatMap((one, place) => [
    { round: "nonces", from: one.identifier, data: join(bound, one.fresh, one.signature, one.listed) },
    { round: "nonce_list", from: one.identifier, data: heard },
    {
      round: "signature_share",
      from: one.identifier,
      data: join(...rounds.map(({ shares }) => suite.encodeScalar(shares[place]))),
    },
  ]);
  return {
    descriptor: bound,
    context: within,
    echo: heard,
    verifyingKey: suite.encodeElement(change.key),
    signatures,
    said,
    signers,
  };
}

/** RFC 9591, sections 4.3 to 5.2, for one message; with BIP-340's even y where the suite has it. */
function answer(suite, stored, signers, message, index) {
  const negateKey = suite.isOdd(stored);
  const key = negateKey ? stored.negate() : stored;
  const identifiers = signers.map((one) => one.identifier);
  const listed = join(
    ...signers.flatMap((one) => [
      frost.identifier(suite, one.identifier),
      ...one.commitments[index].map((point) => suite.encodeElement(point)),
    ]),
  );
  const prefix = join(suite.encodeElement(key), suite.H4(message), suite.H5(listed));
  const factors = identifiers.map((i) => suite.H1(join(prefix, frost.identifier(suite, i))));
  let R = suite.sum(
    signers.map((one, place) => one.commitments[index][0].add(suite.times(factors[place], one.commitments[index][1]))),
  );
  const negateNonces = suite.isOdd(R);
  if (negateNonces) R = R.negate();
  const c = suite.challenge(R, key, message);
  const shares = signers.map((one, place) => {
    const [d, e] = one.nonces[index];
    const nonce = d + e * factors[place];
    const weight = frost.lagrange(suite, one.identifier, identifiers) * c * (negateKey ? -1n : 1n);
    return suite.mod((negateNonces ? -nonce : nonce) + weight * one.share);
  });
  return { R, shares };
}

/** Verify a finished signature as the world does. */
export function isValid(id, key, message, signature) {
  const suite = SUITES[id];
  if (suite.little) return verifyMessage(key, message, signature);
  if (suite.signatureSize === 64) return schnorr.verify(signature, message, key.slice(1));
  const [R, z] = suite.decodeSignature(signature);
  const P = suite.decodeElement(key);
  return suite.times(z).equals(R.add(suite.times(suite.challenge(R, P, message), P)));
}
