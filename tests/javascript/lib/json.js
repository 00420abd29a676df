// PROTOCOL, Conventions, JSON: a reader that refuses what two programs could read differently.
import { MAX_INTEGER } from "./bytes.js";

export function parse(text) {
  let at = 0;
  const fail = () => {
    throw new Error(`not JSON that everybody reads alike, at ${at}`);
  };
  const space = () => {
    while (at < text.length && " \t\n\r".includes(text[at])) at++;
  };
  const expect = (wanted) => {
    if (!text.startsWith(wanted, at)) fail();
    at += wanted.length;
  };
  function string() {
    const match = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
    match.lastIndex = at;
    const found = match.exec(text);
    if (!found) fail();
    at = match.lastIndex;
    return JSON.parse(found[0]);
  }
  function integer() {
    const match = /(?:0|[1-9][0-9]*)(?![.eE0-9])/y;
    match.lastIndex = at;
    const found = match.exec(text);
    if (!found || found[0].length > 16 || BigInt(found[0]) > MAX_INTEGER) fail();
    at = match.lastIndex;
    return Number(found[0]);
  }
  function value(depth) {
    space();
    const first = text[at];
    if ((first === "{" || first === "[") && depth > 64) fail();
    if (first === '"') return string();
    if (first === "t") return expect("true"), true;
    if (first === "f") return expect("false"), false;
    if (first === "[") {
      const items = [];
      at++;
      space();
      if (text[at] === "]") return at++, items;
      for (;;) {
        items.push(value(depth + 1));
        space();
        if (text[at] === "]") return at++, items;
        expect(",");
      }
    }
    if (first === "{") {
      const fields = new Map();
      at++;
      space();
      if (text[at] === "}") return at++, {};
      for (;;) {
        space();
        const key = string();
        if (fields.has(key)) fail();
        space();
        expect(":");
        fields.set(key, value(depth + 1));
        space();
        if (text[at] === "}") {
          at++;
          return Object.fromEntries(fields);
        }
        expect(",");
      }
    }
    return integer();
  }
  const result = value(1);
  space();
  if (at !== text.length) fail();
  return result;
}
