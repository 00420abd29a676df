// PROTOCOL, Conventions: byte strings, numbers, tagged hashes, safety words.
import { sha256 } from "@noble/hashes/sha2.js";
import { wordlist } from "@scure/bip39/wordlists/english.js";

export const MAX_INTEGER = 2n ** 53n - 1n;
export const EMPTY = new Uint8Array(0);

export function hex(bytes) {
  return Buffer.from(bytes).toString("hex");
}

export function unhex(text) {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new Error("not lower-case hexadecimal");
  return new Uint8Array(Buffer.from(text, "hex"));
}

export function utf8(text) {
  return new TextEncoder().encode(text);
}

export function join(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function same(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Bytes in order: negative, 0 or positive. */
export function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

export function number(bytes, little = false) {
  return BigInt("0x" + (hex(little ? [...bytes].reverse() : bytes) || "0"));
}

export function fixed(value, size, little = false) {
  const bytes = unhex(value.toString(16).padStart(2 * size, "0"));
  if (bytes.length !== size) throw new Error("a number that does not fit");
  return little ? bytes.reverse() : bytes;
}

export function u64(value) {
  const big = BigInt(value);
  if (big < 0n || big > MAX_INTEGER) throw new Error("out of range");
  return fixed(big, 8);
}

export function list(fields) {
  return [u64(fields.length), ...fields];
}

export function taggedHash(tag, ...fields) {
  const prefix = sha256(utf8(tag));
  const parts = fields.flatMap((field) => {
    const bytes = typeof field === "string" ? utf8(field) : field;
    return [fixed(BigInt(bytes.length), 8), bytes];
  });
  return sha256(join(prefix, prefix, ...parts));
}

export function safetyWords(digest) {
  const top = number(digest.slice(0, 9)) >> 6n;
  return [5n, 4n, 3n, 2n, 1n, 0n].map((place) => wordlist[Number((top >> (11n * place)) & 2047n)]);
}

export function fingerprint(key) {
  return hex(taggedHash("mpcnode/fingerprint/v1", key)).slice(0, 40).match(/.{4}/g).join(" ");
}
