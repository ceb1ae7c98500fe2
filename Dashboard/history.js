// The last minutes of the server, as looked at every two seconds while the dashboard is open.

import { get, getText } from "./api.js";
import { sleep, visible } from "./live.js";
import { Metrics } from "./metrics.js";

const EVERY = 2_000;
const MOST = 160;
/** Milliseconds without a look that are a gap in the charts. */
const GAP = 10_000;

// A page that is loaded again goes on with what it saw before.
const KEPT = "martlet-history";
const samples = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
const listeners = new Set();
const NOTHING = { queues: [], pools: [], queued: null, running: null, rate: null, failures: null, latency: null };
addEventListener("pagehide", () => sessionStorage.setItem(KEPT, JSON.stringify(samples)));

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
    const [{ queues }, { pools }, metrics] = await Promise.all([
        get("/v1/queues"), get("/v1/pools"), getText("/metrics").then(({ text }) => new Metrics(text))]);
    const ended = (state) => metrics.sum("martlet_jobs_ended_total", { state });
    const sample = {
        ...NOTHING, at: Date.now(), queues, pools, ...totals(queues), hasEnded: ended(), hasFailed: ended("failed"),
        buckets: metrics.buckets("martlet_job_seconds"),
    };
    const before = samples.at(-1);
    const seconds = before ? (sample.at - before.at) / 1000 : 0;
    if (before && seconds * 1000 > GAP) samples.push({ ...NOTHING, at: sample.at - 1 });
    else if (before && sample.hasEnded >= before.hasEnded) {  // Else the server has begun anew.
        sample.rate = (sample.hasEnded - before.hasEnded) / seconds;
        sample.failures = (sample.hasFailed - before.hasFailed) / seconds;
        sample.latency = latency(before.buckets, sample.buckets);
    }
    if (before) delete before.buckets;
    samples.push(sample);
    while (samples.length > MOST) samples.shift();
}

function totals(queues) {
    const sum = (state) => queues.reduce((total, queue) => total + (queue[state] ?? 0), 0);
    return {
        queued: sum("queued"), running: sum("running") + sum("cancelling"),
        succeeded: sum("succeeded"), failed: sum("failed"), cancelled: sum("cancelled"),
    };
}

/** Seconds from submission to end, of the jobs that ended between two looks; null when none did. */
function latency(before, after) {
    if (!before) return null;
    const counts = after.map(([bound, count], index) => [bound, count - (before[index]?.[1] ?? 0)]);
    const total = counts.at(-1)?.[1];
    if (!(total > 0)) return null;
    // Within its bucket a job may be anywhere: evenly, as Prometheus has it.
    const at = (part) => {
        const index = counts.findIndex(([, count]) => count >= part * total);
        const [high, upTo] = counts[index];
        const [low, below] = index ? counts[index - 1] : [0, 0];
        return high === Infinity ? low : low + ((high - low) * (part * total - below)) / (upTo - below);
    };
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
