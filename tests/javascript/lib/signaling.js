// PROTOCOL, Signaling: origins and registrations.
import { domainToASCII } from "node:url";
import { sign } from "./ed25519.js";

export function origin(text) {
  const match = /^(wss?):\/\/(\[[0-9a-f:.]+\]|[^/?#:@]+)(?::([0-9]+))?(?:[/?#].*)?$/i.exec(text);
  if (!match) throw new Error("not a signaling server's URL");
  const scheme = match[1].toLowerCase();
  const host = match[2].startsWith("[") ? match[2].toLowerCase() : domainToASCII(match[2]);
  const usual = { ws: "80", wss: "443" }[scheme];
  return `${scheme}://${host}${match[3] && match[3] !== usual ? `:${match[3]}` : ""}`;
}

export function register(seed, from, challenge, room, peerId) {
  return sign(seed, "mpcnode/register/v1", from, challenge, room, peerId);
}
