// What can be run, and the form that runs it.

import { get, getText } from "./api.js";
import { h, show } from "./dom.js";
import { duration } from "./format.js";
import { submissionForm } from "./form.js";
import { members, pretty } from "./json.js";
import { keepLooking } from "./live.js";
import { empty, table, tell } from "./parts.js";

const EVERY = 10_000;
/** Characters of a submission that a form is filled with. */
const MOST = 200_000;

export function functionPage(view) {
    if (view.place) one(view).catch(view.fail);
    else all(view);
}

function all(view) {
    keepLooking(async () => {
        const { functions, broken } = await get("/v1/functions", view.signal);
        show(view.root, h("h1", null, "Functions"),
            broken.map((file) => h("details.notice.bad", { "data-key": file.file },
                h("summary", null, h("code", null, file.file), `: ${file.error}`),
                file.traceback ? h("pre", { tabindex: "0" }, file.traceback.trimEnd()) : null)),
            functions.length ? table("Functions", ["Function", "What it does", "Runtime", "Pool", "Source"],
                functions.map(row), "functions") : empty("There are none."));
    }, { signal: view.signal, fail: view.fail, every: () => EVERY });
}

function row(each) {
    return h("tr", { "data-key": each.name },
        h("th", { scope: "row" }, h("a.whole", { href: `#/functions/${encodeURIComponent(each.name)}` }, each.name)),
        h("td.doc", null, firstLine(each.doc)),
        h("td", null, each.runtime),
        h("td", null, each.pools.map((pool, index) => [index ? ", " : "", pool])),
        h("td.source", null, each.source ? h("code", { title: each.source }, each.source.split("/").at(-1)) : "–"));
}

function firstLine(text) {
    return text.trim().split(/\n\s*\n/)[0];
}

async function one(view) {
    const each = await get(`/v1/functions/${encodeURIComponent(view.place)}`, view.signal);
    view.setTitle(each.name);
    const filled = await submissionOf(view);
    show(view.root,
        h("p.up", null, h("a", { href: "#/functions" }, "Functions")),
        h("h1", null, each.name),
        each.doc ? h("p.documentation", null, each.doc.trim()) : null,
        h("dl.facts", null,
            fact("Runtime", each.runtime), fact("Pools", each.pools.join(", ")),
            each.timeout ? fact("Timeout", duration(each.timeout)) : null,
            each.cpus > 1 ? fact("CPUs", String(each.cpus)) : null,
            each.source ? fact("Source", h("code", null, each.source)) : null,
            fact("Jobs", h("a", { href: `#/jobs?function=${encodeURIComponent(each.name)}` }, "its jobs"))),
        h("div", { "data-own": `form ${each.name} ${view.parameters.get("from") ?? ""}` },
            submissionForm(each, filled)),
        h("details", null, h("summary", null, "JSON Schema of the arguments"),
            pretty(JSON.stringify(each.parameters))));
}

function fact(name, value) {
    return h("div", null, h("dt", null, name), h("dd", null, value));
}

/** Sources of the members of the submission that `?from=` names. */
async function submissionOf(view) {
    const job = view.parameters.get("from");
    if (!job) return {};
    const { text, isWhole } = await getText(`/v1/jobs/${job}/submission`, view.signal, MOST);
    if (isWhole) return members(text);
    tell("The submission is too long to be edited here.", "bad");
    return {};
}
