// PROTOCOL, FROST encodings: groups, hashes, packages of three suites.
import { ed25519 } from "@noble/curves/ed25519.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { expand_message_xmd } from "@noble/curves/abstract/hash-to-curve.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { fixed, join, number, same, utf8 } from "./bytes.js";
import { decodePoint } from "./ed25519.js";

const mod = (value, order) => ((value % order) + order) % order;

export function inverse(value, order) {
  let [a, b, x, y] = [mod(value, order), order, 1n, 0n];
  while (a > 1n) [a, b, x, y] = [b % a, a, mod(y - (b / a) * x, order), x];
  return x;
}

class Suite {
  constructor(id, { Point, order, little, elementSize, signatureSize }) {
    Object.assign(this, { id, Point, order, little, elementSize, signatureSize });
    this.context = utf8(id);
    this.header = join([0], fixed(BigInt(crc32(this.context)), 4));
  }

  mod(value) {
    return mod(value, this.order);
  }

  times(scalar, point = this.Point.BASE) {
    const k = this.mod(scalar);
    return k === 0n ? this.Point.ZERO : point.multiplyUnsafe(k);
  }

  sum(points) {
    return points.reduce((total, point) => total.add(point), this.Point.ZERO);
  }

  encodeScalar(scalar) {
    return fixed(scalar, 32, this.little);
  }

  decodeScalar(bytes) {
    const scalar = number(bytes, this.little);
    if (bytes.length !== 32 || scalar >= this.order) throw new Error("not a scalar");
    return scalar;
  }

  encodeElement(point) {
    if (point.is0()) throw new Error("the identity has no encoding");
    return point.toBytes(true);
  }

  decodeElement(bytes) {
    if (bytes.length !== this.elementSize) throw new Error("not an element");
    const point = this.little ? decodePoint(bytes) : this.Point.fromBytes(bytes);
    if (point.is0() || (this.little && !point.isTorsionFree())) throw new Error("not an element");
    return point;
  }

  H1(m) {
    return this.toScalar("rho", m);
  }
  H3(m) {
    return this.toScalar("nonce", m);
  }
  H4(m) {
    return this.hash("msg", m);
  }
  H5(m) {
    return this.hash("com", m);
  }
  HDKG(m) {
    return this.toScalar("dkg", m);
  }

  isOdd() {
    return false;
  }

  challenge(R, key, message) {
    return this.H2(join(this.encodeElement(R), this.encodeElement(key), message));
  }

  encodeSignature(R, z) {
    return join(this.encodeElement(R), this.encodeScalar(z));
  }

  decodeSignature(bytes) {
    const size = this.signatureSize - 32;
    return [this.decodeElement(bytes.slice(0, size)), this.decodeScalar(bytes.slice(size))];
  }
}

class Ed25519 extends Suite {
  hash(label, m) {
    return sha512(join(this.context, utf8(label), m));
  }
  toScalar(label, m) {
    return this.mod(number(this.hash(label, m), true));
  }
  H2(m) {
    return this.mod(number(sha512(m), true));
  }
  drawScalar(drawn) {
    return this.mod(number(drawn, true));
  }
}

class Secp256k1 extends Suite {
  hash(label, m) {
    return sha256(join(this.context, utf8(label), m));
  }
  toScalar(label, m) {
    return this.mod(number(expand_message_xmd(m, join(this.context, utf8(label)), 48, sha256)));
  }
  H2(m) {
    return this.toScalar("chal", m);
  }
  drawScalar(drawn) {
    return number(drawn);
  }
}

const taggedBip340 = (tag, m) => sha256(join(sha256(utf8(tag)), sha256(utf8(tag)), m));

class Taproot extends Secp256k1 {
  H2(m) {
    return this.mod(number(taggedBip340("BIP0340/challenge", m)));
  }
  isOdd(point) {
    return this.encodeElement(point)[0] === 3;
  }
  challenge(R, key, message) {
    return this.H2(join(this.encodeElement(R).slice(1), this.encodeElement(key).slice(1), message));
  }
  encodeSignature(R, z) {
    if (this.isOdd(R)) throw new Error("R has an odd y");
    return join(this.encodeElement(R).slice(1), this.encodeScalar(z));
  }
  decodeSignature(bytes) {
    return [this.decodeElement(join([2], bytes.slice(0, 32))), this.decodeScalar(bytes.slice(32))];
  }
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

const edwards = { Point: ed25519.Point, order: ed25519.Point.Fn.ORDER, little: true, elementSize: 32, signatureSize: 64 };
const koblitz = { Point: secp256k1.Point, order: secp256k1.Point.Fn.ORDER, little: false, elementSize: 33 };

export const SUITES = Object.fromEntries(
  [
    new Ed25519("FROST-ED25519-SHA512-v1", edwards),
    new Taproot("FROST-secp256k1-SHA256-TR-v1", { ...koblitz, signatureSize: 64 }),
    new Secp256k1("FROST-secp256k1-SHA256-v1", { ...koblitz, signatureSize: 65 }),
  ].map((suite) => [suite.id, suite]),
);

export function varint(value) {
  const bytes = [];
  for (; value >= 0x80; value >>= 7) bytes.push((value & 0x7f) | 0x80);
  return new Uint8Array([...bytes, value]);
}

export function identifier(suite, i) {
  return suite.encodeScalar(BigInt(i));
}

// Polynomials

export function evaluate(suite, coefficients, i) {
  return coefficients.reduceRight((value, a) => suite.mod(value * BigInt(i) + a), 0n);
}

export function evaluateCommitment(suite, commitment, i) {
  return commitment.reduceRight((value, A) => suite.times(BigInt(i), value).add(A), suite.Point.ZERO);
}

export function lagrange(suite, i, signers) {
  let [above, below] = [1n, 1n];
  for (const j of signers.filter((one) => one !== i)) {
    above = suite.mod(above * BigInt(j));
    below = suite.mod(below * BigInt(j - i));
  }
  return suite.mod(above * inverse(below, suite.order));
}

// Packages

export function proofChallenge(suite, i, A0, R) {
  return suite.HDKG(join(identifier(suite, i), suite.encodeElement(A0), suite.encodeElement(R)));
}

export function makeRound1(suite, i, coefficients, k) {
  const commitment = coefficients.map((a) => suite.times(a));
  let R = suite.times(k);
  if (suite.isOdd(R)) [k, R] = [suite.mod(-k), R.negate()];
  const z = suite.mod(k + coefficients[0] * proofChallenge(suite, i, commitment[0], R));
  const proof = suite.encodeSignature(R, z);
  const elements = commitment.map((A) => suite.encodeElement(A));
  return join(suite.header, varint(commitment.length), ...elements, varint(proof.length), proof);
}

class Reader {
  constructor(suite, bytes) {
    this.rest = bytes;
    if (!same(this.take(5), suite.header)) throw new Error("another version or suite");
  }
  take(size) {
    if (this.rest.length < size) throw new Error("ends too early");
    const taken = this.rest.slice(0, size);
    this.rest = this.rest.slice(size);
    return taken;
  }
  number() {
    let value = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const [byte] = this.take(1);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if ((byte === 0 && shift) || value > 65535) throw new Error("a number with padding");
        return value;
      }
    }
    throw new Error("a number that is too long");
  }
  end(value) {
    if (this.rest.length) throw new Error("something after the end");
    return value;
  }
}

/** Decode a round-1 package; throws where it is malformed. */
export function readRound1(suite, threshold, bytes) {
  const reader = new Reader(suite, bytes);
  if (reader.number() !== threshold) throw new Error("another number of elements");
  const commitment = Array.from({ length: threshold }, () => suite.decodeElement(reader.take(suite.elementSize)));
  if (reader.number() !== suite.signatureSize) throw new Error("a proof of another size");
  const [R, z] = suite.decodeSignature(reader.take(suite.signatureSize));
  return reader.end({ commitment, R, z });
}

export function proves(suite, i, { commitment, R, z }) {
  const c = proofChallenge(suite, i, commitment[0], R);
  return suite.times(z).subtract(suite.times(c, commitment[0])).equals(R);
}

export function makeRefresh(suite, coefficients) {
  const elements = coefficients.map((b) => suite.encodeElement(suite.times(b)));
  return join(suite.header, varint(elements.length), ...elements);
}

export function readRefresh(suite, threshold, bytes) {
  const reader = new Reader(suite, bytes);
  if (reader.number() !== threshold - 1) throw new Error("another number of elements");
  return reader.end(Array.from({ length: threshold - 1 }, () => suite.decodeElement(reader.take(suite.elementSize))));
}

export function makeRound2(suite, share) {
  return join(suite.header, suite.encodeScalar(share));
}

export function makeCommitments(suite, D, E) {
  return join(suite.header, suite.encodeElement(D), suite.encodeElement(E));
}

export function readCommitments(suite, bytes) {
  const reader = new Reader(suite, bytes);
  const [D, E] = [0, 0].map(() => suite.decodeElement(reader.take(suite.elementSize)));
  return reader.end([D, E]);
}

export function makeKeyPackage(suite, i, share, verifying, key, threshold) {
  const parts = [verifying, key].map((point) => suite.encodeElement(point));
  return join(suite.header, identifier(suite, i), suite.encodeScalar(share), ...parts, varint(threshold));
}

export function makePublicKeyPackage(suite, verifying, key, threshold) {
  const entries = verifying.flatMap(([i, point]) => [identifier(suite, i), suite.encodeElement(point)]);
  return join(suite.header, varint(verifying.length), ...entries, suite.encodeElement(key), [1], varint(threshold));
}

/** The Taproot tweak: whether everything is negated first, what is added, and the key that comes of it. */
export function tweak(suite, key, root) {
  const negate = suite.isOdd(key);
  const h = suite.mod(number(taggedBip340("TapTweak", join(suite.encodeElement(key).slice(1), root))));
  return { negate, h, key: (negate ? key.negate() : key).add(suite.times(h)) };
}
