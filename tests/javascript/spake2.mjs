// One end of a SPAKE2 exchange by the Rust implementation: reads "identity password" and says its message, reads the
// other end's message and says the key.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { hex, unhex } from "./lib/bytes.js";

const spake2 = createRequire(import.meta.url)("spake2-wasm");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const [identity, password] = (await lines.next()).value.split(" ");
const state = spake2.start(identity, password);
console.log(hex(spake2.msg(state)));
console.log(hex(spake2.finish(state, unhex((await lines.next()).value))));
process.exit(0);
