// PROTOCOL, Messages on a link: frames, and what one end says over the channels of a link.
import { EMPTY, fixed, join, number } from "./bytes.js";

export const FRAME = 16_384;
export const MAX_MESSAGE = 4_202_496;

export function split(message) {
  if (message[0] !== 0x7b || message.length > MAX_MESSAGE) throw new Error("not a message");
  if (message.length <= FRAME) return [message];
  const frames = [join([1], fixed(BigInt(message.length), 4), message.slice(0, FRAME - 5))];
  for (let at = FRAME - 5; at < message.length; at += FRAME - 1) frames.push(join([2], message.slice(at, at + FRAME - 1)));
  return frames;
}

export class Joiner {
  expected = 0;
  partial = EMPTY;

  feed(frame) {
    const refuse = () => {
      throw new Error("a frame that cannot come here");
    };
    if (!frame.length || frame.length > FRAME) refuse();
    if (frame[0] === 0x7b) return frame;
    if (frame[0] === 1 && !this.expected) {
      const size = Number(number(frame.slice(1, 5)));
      if (size <= FRAME || size > MAX_MESSAGE || frame.length !== FRAME || frame[5] !== 0x7b) refuse();
      this.expected = size;
      this.partial = frame.slice(5);
      return null;
    }
    if (frame[0] !== 2 || !this.expected) refuse();
    if (frame.length - 1 !== Math.min(this.expected - this.partial.length, FRAME - 1)) refuse();
    this.partial = join(this.partial, frame.slice(1));
    if (this.partial.length < this.expected) return null;
    this.expected = 0;
    return this.partial;
  }
}

export function report(pieces) {
  return join([3], fixed(BigInt(pieces), 4));
}

/** The other direction: which numbers are taken, which are copies, and which no honest node sends. */
export class Incoming {
  #highest = 0;
  #missing = null;
  #last = 0;
  #before = 0;
  #underWay = false;

  newChannel() {
    [this.#last, this.#before, this.#underWay] = [0, 0, false];
  }

  /** The first piece of a long message came. */
  begin() {
    [this.#before, this.#underWay] = [this.#last, true];
  }

  /** A message is complete. */
  take(number, long) {
    if (long) this.#underWay = false;
    if (number <= (long ? this.#before : this.#last)) return "refused";
    this.#last = Math.max(this.#last, number);
    if (number === this.#missing) {
      this.#missing = null;
      return "taken";
    }
    if (number <= this.#highest) return "a copy";
    const gaps = number - this.#highest - 1 + (this.#missing === null ? 0 : 1);
    if (gaps > (this.#underWay ? 1 : 0)) return "refused";
    if (number > this.#highest + 1) this.#missing = this.#highest + 1;
    this.#highest = number;
    return "taken";
  }
}

/** The short messages of one direction of a link: numbers, acknowledgements, and what is said once more. */
export class Outgoing {
  #number = 0;
  #kept = [];

  say(type, payload) {
    this.#kept.push({ type, payload, msg_id: ++this.#number });
    return [this.#kept.at(-1)];
  }

  /** Take an acknowledgement: everything sent before that number was taken. */
  acknowledged(number) {
    this.#kept = this.#kept.filter((one) => one.msg_id > number);
    return [];
  }

  newChannel() {
    return [...this.#kept];
  }
}
