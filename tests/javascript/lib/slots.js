// PROTOCOL, Slots: the messages of a client and of the server.
import * as form from "./forms.js";
import { parse } from "./json.js";

const slot = form.integer(1, 999_999);
const left = form.integer(1, 604_800_000);
const type = form.word;
const message = form.object({ type, body: form.bytes(1, 4096) });

const fromClient = {
  allocate: form.object({ type }),
  claim: form.object({ type, slot }),
  message,
  release: form.object({ type }),
};
const fromServer = {
  allocated: form.object({ type, slot, expires_in: left }),
  claimed: form.object({ type, expires_in: left }),
  message,
  released: form.object({ type }),
  error: form.object({
    type,
    error: form.text(512),
    code: form.word,
    retry_after: form.optional(form.integer(1, 86_400_000)),
  }),
};

function read(forms, frame) {
  const value = parse(frame);
  if (!Object.hasOwn(forms, value.type)) throw new Error("not a message");
  return forms[value.type](value);
}

export const said = (frame) => read(fromClient, frame);
export const heard = (frame) => read(fromServer, frame);
export const closesWith = { message_too_big: 1009, too_many_slots: 1013, slots_full: 1013, too_many_connections: 1013, server_shutdown: 1012 };
