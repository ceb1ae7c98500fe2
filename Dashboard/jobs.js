// The list of jobs: filters, pages, and what becomes of them meanwhile.

import { get, query } from "./api.js";
import { h, show } from "./dom.js";
import { between, brief, count, duration, moment, since } from "./format.js";
import { keepFresh } from "./live.js";
import { STATES, badge, empty, hasEnded, progressBar, table } from "./parts.js";

const PAGE = 50;
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function jobsPage(view) {
    const filters = Object.fromEntries(["state", "function", "queue", "tag", "cursor"].map(
        (name) => [name, view.parameters.get(name) ?? ""]));
    const { state, queue, cursor } = filters;

    keepFresh(async () => {
        const [list, { queues }, known] = await Promise.all([
            get(query("/v1/jobs", { ...filters, limit: String(PAGE) }), view.signal),
            get("/v1/queues", view.signal), functionNames(view.signal)]);
        show(view.root,
            h("h1", null, "Jobs"),
            filterForm(filters, known, queues.map((each) => each.name)),
            stateLinks(filters, queues),
            list.jobs.length ? jobTable("Jobs", list.jobs)
                : empty(cursor ? "No older jobs." : "No jobs match. ",
                    h("a", { href: "#/functions" }, "Submit one")),
            pager(filters, list));
    }, {
        path: query("/v1/events", { function: filters.function, queue, tag: filters.tag }), signal: view.signal, fail: view.fail,
    });
    view.setTitle(state ? `Jobs ${state}` : "Jobs");
}

let names = null;

async function functionNames(signal) {
    names ??= (await get("/v1/functions", signal)).functions.map((each) => each.name);
    return names;
}

function link(filters) {
    return query("#/jobs", filters);
}

function filterForm(filters, functions, queues) {
    const field = (name, label, values) => h("label", null, h("span", null, label), h("input", {
        name, value: filters[name], list: values ? `known-${name}` : null, autocomplete: "off",
        spellcheck: "false", onchange: (event) => event.target.form.requestSubmit(),
    }), values && h("datalist", { id: `known-${name}` }, values.map((each) => h("option", { value: each }))));
    const submit = (event) => {
        event.preventDefault();
        const given = Object.fromEntries(new FormData(event.target));
        const id = given.id.trim();
        delete given.id;
        if (ID.test(id)) location.hash = `#/jobs/${id.toLowerCase()}`;
        else location.hash = link({ ...given, state: new URLSearchParams(location.hash.split("?")[1]).get("state") });
    };
    const idHint = (event) => event.target.setCustomValidity(
        !event.target.value || ID.test(event.target.value.trim()) ? "" : "A job's whole id, as lists and logs show it.");
    return h("form.filters", {
        role: "search", onsubmit: submit, "data-own": `filters ${filters.function} ${filters.queue} ${filters.tag}` },
    field("function", "Function", functions), field("queue", "Queue", queues), field("tag", "Tag"),
    h("label.find", null, h("span", null, "Id of a job"), h("input", {
        name: "id", type: "search", autocomplete: "off", spellcheck: "false", oninput: idHint })),
    h("button", null, "Find"),
    filters.function || filters.queue || filters.tag
        ? h("a.clear", { href: link({ state: filters.state }) }, "Clear") : null);
}

/** The states with the numbers of their jobs, where the numbers are those of the filter. */
function stateLinks(filters, queues) {
    const counts = filters.function || filters.tag ? null
        : queues.filter((each) => !filters.queue || each.name === filters.queue);
    const total = (state) => counts?.reduce((sum, queue) => sum + (queue[state] ?? 0), 0);
    const one = (state, label) => h("a", {
        href: link({ ...filters, cursor: "", state }), class: state || null,
        "aria-current": filters.state === state ? "true" : null,
    }, label, counts && state && total(state) ? h("b", null, brief(total(state))) : null);
    return h("nav.states", { "aria-label": "State" }, one("", "all"), STATES.map((state) => one(state, state)));
}

function pager(filters, list) {
    return h("div.pager", { "data-key": "pager" },
        filters.cursor ? h("a.button", { href: link({ ...filters, cursor: "" }) }, "Newest") : null,
        filters.cursor ? h("button", { type: "button", onclick: () => history.back() }, "Newer") : null,
        list.next_cursor ? h("a.button", { href: link({ ...filters, cursor: list.next_cursor }) }, "Older") : null,
        h("span.soft", null, list.jobs.length ? `${count(list.jobs.length)} shown, newest first` : ""));
}

/** Jobs as rows; the whole row leads to the job. */
export function jobTable(label, jobs) {
    return table(label,
        ["State", "Function", "Queue", "Pool", "Submitted", "#Waited", "#Ran", "Details"], jobs.map(row), "jobs");
}

function row(job) {
    return h("tr", { "data-key": job.id },
        h("td", null, badge(job.state)),
        h("td.name", null, h("a.whole", { href: `#/jobs/${job.id}` }, job.function), " ",
            h("code.soft", null, job.id.slice(-6))),
        h("td.queue", null, job.queue),
        h("td.pool", null, job.pool),
        h("td.time", null, moment(job.created_at)),
        h("td.number.waited", null, waited(job)),
        h("td.number.ran", null, ran(job)),
        h("td.details", null, details(job)));
}

/** Whether there is progress to be seen: of a map always, of a call while it tells of it. */
export function isShown({ items, progress, state }) {
    return items !== undefined || (progress?.total > 0 && state === "running");
}

/** How long a job waited for its last attempt. */
export function waited(job) {
    return job.state === "queued" ? since(job.created_at)
        : duration(between(job.created_at, job.started_at ?? job.ended_at));
}

/** How long its last attempt took, or has taken so far. */
export function ran(job) {
    if (!job.started_at || job.state === "queued") return "–";
    return hasEnded(job.state) ? duration(between(job.started_at, job.ended_at)) : since(job.started_at);
}

function details(job) {
    const parts = [];
    if (isShown(job)) {
        parts.push(h("span.map", null, progressBar(job.progress, `Progress of ${job.function}`),
            `${brief(job.progress.done)} of ${brief(job.progress.total)}`));
    }
    if (job.error && job.state === "failed") parts.push(h("span.bad", null, `${job.error.type}: ${job.error.message}`));
    if (job.attempt > 1) parts.push(h("span.soft", null, `attempt ${job.attempt}`));
    for (const tag of job.tags) parts.push(h("span.tag", null, tag));
    return parts.flatMap((part) => [part, " "]);
}
