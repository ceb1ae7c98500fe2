// JSON as it was sent: numbers keep every digit, which they would not as JavaScript's own.

import { h } from "./dom.js";

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)|(true|false|null)|([{}[\],:]))/y;
const DEEPEST = 200;
const WIDTH = 88;

/** A value with its source: kind, text, and of an array or object its parts. */
function parse(text) {
    let position = 0;
    const next = () => {
        TOKEN.lastIndex = position;
        const found = TOKEN.exec(text);
        if (!found) throw new SyntaxError("not JSON");
        position = TOKEN.lastIndex;
        const kind = ["string", "number", "literal", "mark"][found.slice(1).findIndex((each) => each)];
        return { kind, text: found[0].trimStart(), start: position - found[0].trimStart().length };
    };
    const value = (token, depth) => {
        if (token.kind !== "mark") return token;
        if (depth > DEEPEST) throw new SyntaxError("too deep");
        const isObject = token.text === "{";
        const parts = [];
        let part = next();
        while (part.text !== "}" && part.text !== "]") {
            let key = null;
            if (isObject) {
                key = part.text;
                next();
                part = next();
            }
            parts.push({ key, value: value(part, depth + 1) });
            part = next();
            if (part.text === ",") part = next();
        }
        return { kind: isObject ? "object" : "array", parts, text: text.slice(token.start, position) };
    };
    return value(next(), 0);
}

/** Source of each member of an object. */
export function members(text) {
    return Object.fromEntries(parse(text).parts.map(({ key, value }) => [JSON.parse(key), value.text]));
}

/** Whether a text is JSON. */
export function isJSON(text) {
    try {
        JSON.parse(text);
        return true;
    } catch {
        return false;
    }
}

/** JSON laid out and coloured; as it is when that would take too long. */
export function pretty(text, limit = 200_000) {
    const block = h("pre.json", { tabindex: "0" });
    try {
        if (text.length > limit) throw new SyntaxError("too long");
        write(parse(text), 0, block);
    } catch {
        block.append(text.slice(0, limit));
    }
    if (text.length > limit) block.append(h("span.cut", null, "\n… the rest is not shown"));
    return block;
}

function write(value, depth, into) {
    if (!value.parts) {
        into.append(h(`span.${value.kind}`, null, value.text));
        return;
    }
    const [open, close] = value.kind === "object" ? "{}" : "[]";
    const isFlat = value.text.length + 2 * depth < WIDTH && value.parts.every((part) => !part.value.parts);
    const line = (by) => (isFlat ? "" : `\n${"  ".repeat(by)}`);
    into.append(open);
    value.parts.forEach((part, index) => {
        if (index > 0) into.append(isFlat ? ", " : ",");
        into.append(line(depth + 1));
        if (part.key) into.append(h("span.key", null, part.key), ": ");
        write(part.value, depth + 1, into);
    });
    into.append(value.parts.length ? line(depth) : "", close);
}
