// PROTOCOL, Wallet file.
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { argon2id } from "@noble/hashes/argon2.js";
import { blake2b } from "@noble/hashes/blake2.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { EMPTY, hex, join, number, unhex, utf8 } from "./bytes.js";

/** The one way to write it: sorted keys, two spaces, a line feed at the end. */
export function canonical(value) {
  const sorted = (it) => {
    if (Array.isArray(it)) return it.map(sorted);
    if (typeof it !== "object") return it;
    return Object.fromEntries(Object.keys(it).sort().map((key) => [key, sorted(it[key])]));
  };
  return `${JSON.stringify(sorted(value), null, 2)}\n`;
}

const person = (label) => join(utf8(label), new Uint8Array(16 - label.length));

export function rootOf(passphrase, kdf) {
  if (kdf.memory_bytes < 2 ** 23 || kdf.memory_bytes > 2 ** 30 || kdf.memory_bytes % 1024 || kdf.passes > 10)
    throw new Error("refused before any memory is taken");
  return argon2id(utf8(passphrase), unhex(kdf.salt), { t: kdf.passes, m: kdf.memory_bytes / 1024, p: 1, dkLen: 32 });
}

export function openFile(text, root) {
  const { checksum, ...fields } = JSON.parse(text);
  if (canonical({ ...fields, checksum }) !== text) throw new Error("not the canonical form");
  if (hex(sha256(utf8(canonical(fields)))) !== checksum) throw new Error("damaged");
  const check = blake2b(EMPTY, { dkLen: 16, key: root, personalization: person("mpcnode-check-v1") });
  if (hex(check) !== fields.check) throw new Error("wrong passphrase");
  const { nonce, sealed, ...bound } = fields;
  const key = blake2b(utf8(fields.format), { dkLen: 32, key: root, personalization: person("mpcnode-file-v1") });
  const body = xchacha20poly1305(key, unhex(nonce), utf8(canonical(bound))).decrypt(unhex(sealed));
  return { header: fields.header, body };
}

export function readBody(bytes) {
  let at = 0;
  const take = (size) => {
    if (at + size > bytes.length) throw new Error("ends too early");
    return bytes.slice(at, (at += size));
  };
  const integer = (size) => Number(number(take(size)));
  const text = () => new TextDecoder().decode(take(integer(1)));
  if (integer(1) !== 1) throw new Error("another version");
  const [chainCode, documentKey] = [take(32), take(32)];
  const shares = Array.from({ length: integer(2) }, () => ({
    epoch_id: take(32),
    suite: text(),
    protocol: text(),
    data: take(integer(4)),
  }));
  if (at !== bytes.length) throw new Error("something after the last share");
  return { chainCode, documentKey, shares };
}
