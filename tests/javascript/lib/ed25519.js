// PROTOCOL, Conventions, Signatures: Ed25519 with libsodium's rule of verification.
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { join, number, same, taggedHash } from "./bytes.js";

const Point = ed25519.Point;
export const ORDER = Point.Fn.ORDER;
const P = 2n ** 255n - 19n;

/** A point whose encoding is canonical; the sign of an x of 0 is refused too. */
export function decodePoint(bytes) {
  if (bytes.length !== 32) throw new Error("a point is 32 bytes");
  if ((number(bytes, true) & (2n ** 255n - 1n)) >= P) throw new Error("not canonical");
  return Point.fromBytes(bytes);
}

export function verifyMessage(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const R = signature.slice(0, 32);
  const S = number(signature.slice(32), true);
  if (S >= ORDER) return false;
  try {
    const A = decodePoint(publicKey);
    if (A.isSmallOrder() || Point.fromBytes(R, true).isSmallOrder()) return false;
    const k = number(sha512(join(R, publicKey, message)), true) % ORDER;
    const SB = S === 0n ? Point.ZERO : Point.BASE.multiply(S);
    const kA = k === 0n ? Point.ZERO : A.multiplyUnsafe(k);
    return same(SB.subtract(kA).toBytes(), R);
  } catch {
    return false;
  }
}

export function verify(publicKey, signature, tag, ...fields) {
  return verifyMessage(publicKey, taggedHash(tag, ...fields), signature);
}

export function sign(seed, tag, ...fields) {
  return ed25519.sign(taggedHash(tag, ...fields), seed);
}

export function publicKeyOf(seed) {
  return ed25519.getPublicKey(seed);
}

/** Whether a key can be verified with and sealed to: canonical, of prime order, not the identity. */
export function isUsable(key) {
  try {
    const point = decodePoint(key);
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false;
  }
}
