// The pools: how much of them is in use, now and over the last minutes.

import { chart } from "./charts.js";
import { h, show } from "./dom.js";
import { brief, count } from "./format.js";
import { onSample } from "./history.js";
import { counted, inUse, loadBar } from "./parts.js";

const WORDS = {
    thread: "Calls on threads: native functions, and Python that waits or lets the lock go.",
    process: "Calls in worker processes: Python that computes, and commands.",
    async: "Coroutines: thousands that wait at once.",
};

export function poolsPage(view) {
    const charts = new Map();
    onSample((samples) => {
        const { pools } = samples.at(-1);
        for (const { name, slots } of pools) {
            if (!charts.has(name)) charts.set(name, chart("Running", [{
                name: "running", class: name,
                value: (sample) => sample.pools.filter((each) => each.name === name).map(inUse)[0] ?? null,
            }], { format: brief, least: Math.min(slots, 100) }));
            charts.get(name).update(samples);
        }
        show(view.root, h("h1", null, "Pools"), h("div.pools", null, pools.map((pool) => h("section.card", {
            "data-key": pool.name },
        h("h2", null, pool.name),
        h("p.soft", null, WORDS[pool.name]),
        loadBar(inUse(pool), pool.slots, `${pool.name} pool in use`),
        h("p", null, h("b", null, count(inUse(pool))), ` of ${counted(pool.slots, "slot")} in use, `,
            counted(pool.workers, "worker")),
        charts.get(pool.name).element))));
    }, view.signal);
}
