// The queues: how many jobs of each state.

import { get } from "./api.js";
import { h, show } from "./dom.js";
import { count } from "./format.js";
import { keepFresh } from "./live.js";
import { STATES, empty, table } from "./parts.js";

export function queuesPage(view) {
    keepFresh(async () => {
        const { queues } = await get("/v1/queues", view.signal);
        show(view.root, h("h1", null, "Queues"),
            queues.length ? table("Queues", ["Queue", ...STATES.map((state) => `#${state}`)], queues.map(row), "queues")
                : empty("No jobs yet. ", h("a", { href: "#/functions" }, "Submit one")));
    }, { path: "/v1/events", signal: view.signal, fail: view.fail });
}

function row(queue) {
    const address = `#/jobs?queue=${encodeURIComponent(queue.name)}`;
    return h("tr", { "data-key": queue.name },
        h("th", { scope: "row" }, h("a", { href: address }, queue.name)),
        STATES.map((state) => h("td.number", { "data-label": state }, queue[state]
            ? h("a", { href: `${address}&state=${state}`, class: state }, count(queue[state]))
            : h("span.soft", null, "0"))));
}
