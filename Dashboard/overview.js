// How the server does: rate, waiting, latency and load, then what runs and what failed.

import { get } from "./api.js";
import { chart } from "./charts.js";
import { h, show } from "./dom.js";
import { brief, count, duration } from "./format.js";
import { onSample } from "./history.js";
import { jobTable } from "./jobs.js";
import { keepFresh } from "./live.js";
import { empty, inUse, loadBar, table } from "./parts.js";

const STEPS = ["queued", "running", "succeeded", "failed", "cancelled"];

export function overviewPage(view) {
    const latency = (name) => (sample) => sample.latency?.[name] ?? null;
    const charts = [
        chart("Ended a second", [
            { name: "all", class: "accent", value: (sample) => sample.rate },
            { name: "failed", class: "failed", value: (sample) => sample.failures },
        ], { format: brief }),
        chart("Waiting", [
            { name: "queued", class: "queued", value: (sample) => sample.queued },
            { name: "running", class: "running", value: (sample) => sample.running },
        ], { format: brief }),
        chart("Submission to end", [
            { name: "p50", class: "accent", value: latency("p50") },
            { name: "p95", class: "middle", value: latency("p95") },
            { name: "p99", class: "high", value: latency("p99") },
        ], { format: duration, least: 0.01, from: 0.0005 }),
        chart("Pools in use", ["process", "thread", "async"].map((name) => ({
            name, class: name, value: (sample) => load(sample, name),
        })), { format: (value) => `${Math.round(value)} %`, least: 100 }),
    ];
    let lists = null;
    let latest = null;

    const render = () => {
        if (!latest) return;
        show(view.root,
            h("h1.unseen", null, "Overview"),
            h("ul.totals", null, STEPS.map((state) => h("li", null,
                h("a", { href: `#/jobs?state=${state}`, class: state },
                    h("b", null, count(latest[state])), h("span", null, state))))),
            h("div.charts", null, charts.map((each) => each.element)),
            h("div.columns", null, poolsPart(latest.pools), queuesPart(latest.queues)),
            lists && [
                h("h2", null, "Running now"),
                lists.running.length ? jobTable("Running now", lists.running) : empty("Nothing runs."),
                h("h2", null, "Failed last"),
                lists.failed.length ? jobTable("Failed last", lists.failed) : empty("Nothing has failed."),
            ]);
    };

    onSample((samples) => {
        latest = samples.at(-1);
        for (const each of charts) each.update(samples);
        render();
    }, view.signal);
    keepFresh(async () => {
        const [running, failed] = await Promise.all([
            get("/v1/jobs?state=running&limit=5", view.signal),
            get("/v1/jobs?state=failed&limit=5", view.signal)]);
        lists = { running: running.jobs, failed: failed.jobs };
        render();
    }, { path: "/v1/events", signal: view.signal, fail: view.fail });
}

/** Percent of a pool's slots in use. */
function load(sample, name) {
    const pool = sample.pools.find((each) => each.name === name);
    return pool ? (100 * inUse(pool)) / pool.slots : null;
}

function poolsPart(pools) {
    return h("section", null, h("h2", null, h("a", { href: "#/pools" }, "Pools")),
        table("Pools", ["Pool", "In use", "#"], pools.map((pool) => h("tr", { "data-key": pool.name },
            h("th", { scope: "row" }, pool.name),
            h("td.wide", null, loadBar(inUse(pool), pool.slots, `${pool.name} pool in use`)),
            h("td.number", null, `${count(inUse(pool))} of ${count(pool.slots)}`)))));
}

function queuesPart(queues) {
    const busiest = [...queues].sort((a, b) => open(b) - open(a)).slice(0, 5);
    return h("section", null, h("h2", null, h("a", { href: "#/queues" }, "Queues")),
        queues.length ? table("Queues", ["Queue", "#Queued", "#Running"], busiest.map((queue) => h(
            "tr", { "data-key": queue.name },
            h("th", { scope: "row" }, h("a", { href: `#/jobs?queue=${encodeURIComponent(queue.name)}` }, queue.name)),
            h("td.number", null, count(queue.queued)),
            h("td.number", null, count(queue.running))))) : empty("No jobs yet."));
}

function open(queue) {
    return (queue.queued ?? 0) + (queue.running ?? 0);
}
