// The HTTP interface, as the page calls it.

/** What the server refused (RFC 9457), or that it could not be reached (status 0). */
export class Problem extends Error {
    constructor(status, document) {
        super(document.detail ?? document.title ?? `The server answered ${status}.`);
        this.status = status;
        this.code = (document.type ?? "").replace("urn:martlet:problem:", "");
        this.pointer = document.pointer;
    }

    /** Whether there is nothing at the path at all, as on a server without that endpoint. */
    get isNoEndpoint() {
        return this.code === "http-404";
    }
}

const KEY = "martlet-token";
let asking = null;
/** Shows the field for the token; resolves with what was typed. Set by the page. */
let askForToken = async () => { throw new Problem(401, { detail: "A token is wanted." }); };
/** Told whether the server answers. Set by the page. */
let tellReachable = () => {};

export function setUp(hooks) {
    askForToken = hooks.askForToken;
    tellReachable = hooks.tellReachable;
}

/** Calls the server; asks for its token when it wants one. Throws a `Problem`. */
export async function call(method, path, { body, headers = {}, signal } = {}) {
    for (;;) {
        const token = sessionStorage.getItem(KEY);
        const fields = { ...headers };
        if (token) fields.Authorization = `Bearer ${token}`;
        if (body !== undefined) fields["Content-Type"] = "application/json";
        const response = await reach(path, { method, body, headers: fields, signal });
        if (response.ok) return response;
        const document = await response.json().catch(() => ({}));
        if (response.status !== 401) throw new Problem(response.status, document);
        // Many calls may find at once that a token is wanted; the reader is asked once.
        if (sessionStorage.getItem(KEY) !== token) continue;
        asking ??= askForToken(token !== null).then((typed) => {
            sessionStorage.setItem(KEY, typed);
        }).finally(() => { asking = null; });
        await asking;
    }
}

async function reach(path, options) {
    try {
        const response = await fetch(path, { cache: "no-store", ...options });
        tellReachable(true);
        return response;
    } catch (error) {
        if (options.signal?.aborted) throw error;
        tellReachable(false);
        throw new Problem(0, { detail: "The server cannot be reached." });
    }
}

export async function get(path, signal) {
    return (await call("GET", path, { signal })).json();
}

/** The start of an answer, at most about so many characters, and whether that is all of it. */
export async function getText(path, signal, limit = Infinity) {
    const response = await call("GET", path, { signal });
    let text = "";
    for await (const piece of pieces(response)) {
        text += piece;
        if (text.length > limit) return { text: text.slice(0, limit), isWhole: false };
    }
    return { text, isWhole: true };
}

/** The text of an answer as it comes; leaving the loop ends the transfer. */
export async function* pieces(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    try {
        for (;;) {
            const { value, done } = await reader.read();
            if (done) return;
            yield value;
        }
    } finally {
        reader.cancel().catch(() => {});  // It may have failed already; nobody waits for more.
    }
}

/** Lines of an answer as they come, without their ends. */
export async function* lines(response) {
    let rest = "";
    for await (const piece of pieces(response)) {
        const parts = (rest + piece).split("\n");
        rest = parts.pop();
        for (const line of parts) yield line.endsWith("\r") ? line.slice(0, -1) : line;
    }
    if (rest) yield rest;
}

/** A path with those parameters that have a value. */
export function query(path, parameters) {
    const given = Object.entries(parameters).filter(([, value]) => value);
    return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
