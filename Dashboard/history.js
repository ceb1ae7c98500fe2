// The last minutes of the server, as looked at every two seconds while the dashboard is open.

import { get } from "./api.js";
import { sleep, visible } from "./live.js";

const EVERY = 2_000;
const MOST = 160;
/** Jobs that latency is taken of: the newest that have ended. */
const SAMPLED = 100;

const samples = [];
const listeners = new Set();

/** Calls `listener` with all samples at once and at each new one, until `signal` ends it. */
export function onSample(listener, signal) {
    listeners.add(listener);
    signal.addEventListener("abort", () => listeners.delete(listener));
    if (samples.length) listener(samples);
}

/** Looks for as long as the page is there. */
export async function watch() {
    for (;;) {
        await visible();
        const begin = performance.now();
        try {
            await look();
            for (const listener of listeners) listener(samples);
        } catch {
            // The connection's state is shown by itself; the chart has a gap there.
        }
        // A server that takes long to answer is asked less often.
        await sleep(Math.max(EVERY, 10 * (performance.now() - begin)));
    }
}

async function look() {
    const [{ queues }, { pools }] = await Promise.all([get("/v1/queues"), get("/v1/pools")]);
    const sample = { at: Date.now(), queues, pools, ...totals(queues), rate: null, failures: null };
    const before = samples.at(-1);
    if (before && sample.at - before.at < 4 * EVERY) {
        const seconds = (sample.at - before.at) / 1000;
        // Jobs that were forgotten meanwhile make less, never less than none.
        const grown = (name) => Math.max(0, sample[name] - before[name]) / seconds;
        sample.rate = grown("succeeded") + grown("failed") + grown("cancelled");
        sample.failures = grown("failed");
    }
    sample.latency = before && sample.rate === 0 ? null : await latency(before?.at ?? sample.at - EVERY);
    samples.push(sample);
    if (samples.length > MOST) samples.shift();
}

function totals(queues) {
    const sum = (state) => queues.reduce((total, queue) => total + (queue[state] ?? 0), 0);
    return {
        queued: sum("queued"), running: sum("running") + sum("cancelling"),
        succeeded: sum("succeeded"), failed: sum("failed"), cancelled: sum("cancelled"),
    };
}

/** Seconds from submission to end of the newest jobs that ended since then. */
async function latency(since) {
    const { jobs } = await get(`/v1/jobs?state=succeeded&limit=${SAMPLED}`);
    const times = jobs.filter((job) => Date.parse(job.ended_at) > since)
        .map((job) => (Date.parse(job.ended_at) - Date.parse(job.created_at)) / 1000)
        .sort((a, b) => a - b);
    if (!times.length) return null;
    const at = (part) => Math.max(0, times[Math.min(times.length - 1, Math.floor(part * times.length))]);
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
