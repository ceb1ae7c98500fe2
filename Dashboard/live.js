// What keeps a page up to date: server-sent events, and polling where there are none.

import { call, lines } from "./api.js";

export const POLL = 2_000;
/** Between two looks while events come, in case one was missed. */
export const LOOK = 15_000;
/** Events a second from which on polling costs less than listening. */
const FLOOD = 1_000;

const listeners = new Set();
let state = "";

/** Calls `listener` with "live", "polling" or "offline" when that changes. */
export function onConnection(listener) {
    listeners.add(listener);
}

export function tellConnection(next) {
    if (next === state) return;
    state = next;
    for (const listener of listeners) listener(next);
}

/** Told by each call whether the server answers. */
export function tellReachable(isReachable) {
    if (!isReachable) tellConnection("offline");
    else if (state === "offline" || state === "") tellConnection("polling");
}

export function sleep(milliseconds, signal) {
    return new Promise((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
    });
}

/** Waits until the page is looked at; nothing is asked for a page that is not. */
export async function visible(signal) {
    while (document.hidden && !signal?.aborted) {
        await new Promise((resolve) => {
            document.addEventListener("visibilitychange", resolve, { once: true });
            signal?.addEventListener("abort", resolve, { once: true });
        });
    }
}

/** Aborts with `signal`, and when the page is hidden: a browser has few connections to a server. */
export function whileVisible(signal) {
    const stop = new AbortController();
    const check = () => { if (document.hidden) stop.abort(); };
    document.addEventListener("visibilitychange", check, { signal: stop.signal });
    signal?.addEventListener("abort", () => stop.abort(), { once: true });
    if (signal?.aborted) stop.abort();
    return stop;
}

/** Events of a stream: name, data as text, id. */
async function* events(response) {
    let event = { name: "message", data: [], id: null };
    for await (const line of lines(response)) {
        if (line === "") {
            if (event.data.length) yield { ...event, data: event.data.join("\n") };
            event = { name: "message", data: [], id: event.id };
            continue;
        }
        const colon = line.indexOf(":");
        if (colon === 0) continue;  // A comment, which only keeps the connection open.
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "event") event.name = value;
        if (field === "data") event.data.push(value);
        if (field === "id") event.id = value;
    }
}

/**
 * Calls `take` with each event at `path`, over and over, taking up where it was cut.
 *
 * Ends when `signal` says so, when `take` returns false, or when the server says that there is no more.
 */
export async function follow(path, take, signal) {
    let last = null;
    let pause = 500;
    while (!signal.aborted) {
        await visible(signal);
        const stop = whileVisible(signal);
        try {
            const headers = last === null ? {} : { "Last-Event-ID": last };
            const response = await call("GET", path, { headers, signal: stop.signal });
            if (response.status === 204) return;  // Nothing more will come.
            tellConnection("live");
            for await (const event of events(response)) {
                last = event.id ?? last;
                pause = 500;
                if (take(event) === false) return;
            }
        } catch (problem) {
            if (problem.status >= 400) return;
            // Else it was cut or the page hidden: the loop takes it up again.
        } finally {
            stop.abort();
        }
        if (!signal.aborted && !document.hidden) {
            tellConnection("polling");
            await sleep(pause, signal);
            pause = Math.min(2 * pause, 10_000);
        }
    }
}

/**
 * Calls `refresh` now, when woken, and every `every()` milliseconds; never twice at once, and the
 * less often the longer it takes. Returns what wakes it.
 */
export function keepLooking(refresh, { signal, fail, every }) {
    let wake = () => {};
    signal.addEventListener("abort", () => wake(), { once: true });
    (async () => {
        while (!signal.aborted) {
            await visible(signal);
            if (signal.aborted) return;
            const begin = performance.now();
            const woken = new Promise((resolve) => { wake = resolve; });
            try {
                await refresh();
            } catch (error) {
                if (!signal.aborted) fail(error);
            }
            await sleep(400 + 4 * (performance.now() - begin), signal);
            const stop = new AbortController();
            await Promise.race([woken, sleep(every(), stop.signal)]);
            stop.abort();
        }
    })();
    return () => wake();
}

/** The same, woken by each event at `path`; polling while there is no stream, or too much in it. */
export async function keepFresh(refresh, { path, signal, fail }) {
    const wake = keepLooking(refresh, {
        signal, fail, every: () => (path && state === "live" ? LOOK : POLL) });
    let isFlooded = true;
    while (path && isFlooded && !signal.aborted) {
        isFlooded = false;
        let second = 0;
        let seen = 0;
        await follow(path, () => {
            wake();
            const now = Math.floor(performance.now() / 1000);
            seen = now === second ? seen + 1 : 1;
            second = now;
            isFlooded = seen > FLOOD;
            return !isFlooded;
        }, signal);
        if (isFlooded) {
            tellConnection("polling");
            await sleep(5_000, signal);
        }
    }
}
