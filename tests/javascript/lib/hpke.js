// PROTOCOL, Identity and sealing: HPKE (RFC 9180), mode auth, X25519, HKDF-SHA256, ChaCha20-Poly1305.
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { EMPTY, fixed, join, number, taggedHash, utf8 } from "./bytes.js";
import { isUsable, publicKeyOf } from "./ed25519.js";

const KEM = join(utf8("KEM"), fixed(0x20n, 2));
const SUITE = join(utf8("HPKE"), fixed(0x20n, 2), fixed(1n, 2), fixed(3n, 2));
const VERSION = utf8("HPKE-v1");
const PRIME = 2n ** 255n - 19n;

const labeledExtract = (suite, salt, label, ikm) =>
  extract(sha256, join(VERSION, suite, utf8(label), ikm), salt);
const labeledExpand = (suite, prk, label, info, size) =>
  expand(sha256, prk, join(fixed(BigInt(size), 2), VERSION, suite, utf8(label), info), size);

export function secretOf(seed) {
  const secret = sha512(seed).slice(0, 32);
  secret[0] &= 248;
  secret[31] = (secret[31] & 127) | 64;
  return secret;
}

export function mapped(key) {
  if (!isUsable(key)) throw new Error("not a usable key");
  const y = number(key, true) & (2n ** 255n - 1n);
  return fixed((((1n + y) % PRIME) * inverse(PRIME + 1n - y)) % PRIME, 32, true);
}

function inverse(value) {
  let [result, base, power] = [1n, value % PRIME, PRIME - 2n];
  for (; power > 0n; power >>= 1n, base = (base * base) % PRIME) if (power & 1n) result = (result * base) % PRIME;
  return result;
}

export function info(purpose, sender, recipient, topic) {
  return taggedHash("mpcnode/seal/v1", purpose, sender, recipient, topic);
}

function keys(dh, kemContext, about) {
  const prk = labeledExtract(KEM, EMPTY, "eae_prk", dh);
  const shared = labeledExpand(KEM, prk, "shared_secret", kemContext, 32);
  const context = join(
    fixed(2n, 1),
    labeledExtract(SUITE, EMPTY, "psk_id_hash", EMPTY),
    labeledExtract(SUITE, EMPTY, "info_hash", about),
  );
  const secret = labeledExtract(SUITE, shared, "secret", EMPTY);
  return [labeledExpand(SUITE, secret, "key", context, 32), labeledExpand(SUITE, secret, "base_nonce", context, 12)];
}

export function seal(seed, recipient, plaintext, { purpose, topic, aad, ephemeral }) {
  const [mine, theirs] = [secretOf(seed), mapped(recipient)];
  const enc = x25519.getPublicKey(ephemeral);
  const dh = join(x25519.getSharedSecret(ephemeral, theirs), x25519.getSharedSecret(mine, theirs));
  const about = info(purpose, publicKeyOf(seed), recipient, topic);
  const [key, nonce] = keys(dh, join(enc, theirs, x25519.getPublicKey(mine)), about);
  return join(enc, chacha20poly1305(key, nonce, aad).encrypt(plaintext));
}

export function open(seed, sender, sealed, { purpose, topic, aad }) {
  if (sealed.length < 48) throw new Error("too short");
  const [mine, theirs, enc] = [secretOf(seed), mapped(sender), sealed.slice(0, 32)];
  const dh = join(x25519.getSharedSecret(mine, enc), x25519.getSharedSecret(mine, theirs));
  const about = info(purpose, sender, publicKeyOf(seed), topic);
  const [key, nonce] = keys(dh, join(enc, x25519.getPublicKey(mine), theirs), about);
  return chacha20poly1305(key, nonce, aad).decrypt(sealed.slice(32));
}
