// PROTOCOL, Pairing: codes, the handshake, links of invitations.
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { expand, extract, hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { compare, EMPTY, fixed, hex, join, number, same, taggedHash, u64, unhex, utf8 } from "./bytes.js";
import { decodePoint, ORDER } from "./ed25519.js";

const Point = ed25519.Point;
const S = Point.fromBytes(unhex("6f00dae87c1be1a73b5922ef431cd8f57879569c222d22b1cd71e8546ab8e6f1"));

export function parseCode(text) {
  const [slot, ...words] = text.trim().toLowerCase().split(/[\s-]+/);
  if (!/^[1-9][0-9]{0,5}$/.test(slot) || words.length < 2 || words.length > 8) throw new Error("not a code");
  if (!words.every((word) => /^[a-z]{1,40}$/.test(word))) throw new Error("not a word");
  return { slot: Number(slot), password: utf8(words.join("-")), code: [slot, ...words].join("-") };
}

const secretOf = (password) => number(hkdf(sha256, password, EMPTY, utf8("SPAKE2 pw"), 48)) % ORDER;

export function messageOf(password, scalar) {
  const point = Point.BASE.multiply(number(scalar, true)).add(S.multiply(secretOf(password)));
  return join(utf8("S"), point.toBytes());
}

export function exchangedKey(password, scalar, mine, theirs) {
  if (theirs.length !== 33 || theirs[0] !== 0x53 || same(mine, theirs)) throw new Error("not a message");
  const Y = decodePoint(theirs.slice(1));
  if (Y.isSmallOrder() || !Y.isTorsionFree()) throw new Error("not in the group");
  const K = Y.subtract(S.multiply(secretOf(password))).multiply(number(scalar, true));
  const [first, second] = [mine.slice(1), theirs.slice(1)].sort(compare);
  return sha256(join(sha256(password), sha256(utf8("mpcnode/pair/v1")), first, second, K.toBytes()));
}

export const handshake = (slot, inviter, joiner) => taggedHash("mpcnode/pair/v1", u64(1), u64(slot), inviter, joiner);
export const root = (hash, key) => extract(sha256, key, hash);
export const sealKey = (key, role) => expand(sha256, key, taggedHash("mpcnode/pair-seal/v1", role), 32);
export const shared = (key, inviter, joiner) => expand(sha256, key, taggedHash("mpcnode/pair-key/v1", inviter, joiner), 32);

const cipher = (key, count) => chacha20poly1305(key, fixed(BigInt(count), 12));
export const seal = (key, count, plaintext) => cipher(key, count).encrypt(plaintext);
export const open = (key, count, sealed) => cipher(key, count).decrypt(sealed);

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

function base32(bytes) {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.padEnd(Math.ceil(bits.length / 5) * 5, "0").match(/.{5}/g);
  return groups.map((group) => DIGITS[parseInt(group, 2)]).join("");
}

export function linkOf({ server, room, public_key, secret, expires }) {
  const packed = join(room, public_key, secret, fixed(BigInt(expires), 7));
  return `mpcnode:join?v=1&s=${server.replace("[", "%5B").replace("]", "%5D")}&i=${base32(packed)}`;
}

export function parseLink(link) {
  const found = /^mpcnode:join\?v=1&s=(wss?:\/\/[a-z0-9.%A-F:-]{1,194})&i=([A-Z2-7]{114})$/.exec(link);
  if (!found) throw new Error("not a link");
  const server = found[1].replace("%5B", "[").replace("%5D", "]");
  const { protocol, host, port } = new URL(server.replace(/^ws/, "http"));
  if (`${protocol.replace("http", "ws")}//${host}` !== server || port === "0") throw new Error("not an origin");
  const bits = [...found[2]].map((digit) => DIGITS.indexOf(digit).toString(2).padStart(5, "0")).join("");
  const bytes = Uint8Array.from(bits.slice(0, 568).match(/.{8}/g), (byte) => parseInt(byte, 2));
  const [room, public_key, secret] = [bytes.slice(0, 16), bytes.slice(16, 48), bytes.slice(48, 64)];
  const invitation = { server, room, public_key, secret, expires: Number(number(bytes.slice(64))) };
  if (!Number.isSafeInteger(invitation.expires) || linkOf(invitation) !== link) throw new Error("another spelling");
  return { ...invitation, room: hex(room), public_key: hex(public_key), secret: hex(secret), link };
}
