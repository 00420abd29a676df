// PROTOCOL, Blame: what two participants' evidence proves.
import { list, same, u64 } from "./bytes.js";
import { verify } from "./ed25519.js";

export function readEvidence(bytes, people, digests) {
  const size = 32 + 32 * digests + 64;
  if (bytes.length !== 32 + people.length * size) throw new Error("not evidence of this session");
  const promises = people.map((one, place) => {
    const part = bytes.slice(32 + place * size, 32 + (place + 1) * size);
    const listed = Array.from({ length: digests }, (_, k) => part.slice(32 + 32 * k, 64 + 32 * k));
    return { fresh: part.slice(0, 32), digests: listed, signature: part.slice(-64) };
  });
  return { bound: bytes.slice(0, 32), promises };
}

export function equivocators(mine, theirs, { bound, people, digests }) {
  const [ours, shown] = [mine, theirs].map((bytes) => readEvidence(bytes, people, digests));
  if (!same(ours.bound, bound) || !same(shown.bound, bound)) return [];
  const said = ({ fresh, digests: some }) => [fresh, ...list(some)];
  const signed = (one, promise) =>
    verify(one.public_key, promise.signature, "mpcnode/signed-digest/v1", bound, u64(one.identifier), ...said(promise));
  return people
    .filter((one, place) => {
      const [a, b] = [ours.promises[place], shown.promises[place]];
      return said(a).some((field, k) => !same(field, said(b)[k])) && signed(one, a) && signed(one, b);
    })
    .map((one) => one.identifier);
}
