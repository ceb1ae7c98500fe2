// One job: how it stands, what it returned or why it failed, its items and what it printed.

import { call, getText } from "./api.js";
import { h, show } from "./dom.js";
import { between, bytes, count, duration, moment } from "./format.js";
import { itemGrid } from "./items.js";
import { ran, waited } from "./jobs.js";
import { members, pretty } from "./json.js";
import { LOOK, POLL, follow, keepLooking } from "./live.js";
import { logPanel } from "./log.js";
import { act, badge, confirm, counted, failure, hasEnded, progressBar, tell } from "./parts.js";

/** Characters of a result or a submission that are shown. */
const SHOWN = 200_000;
/** Characters of the results of a map. */
const PREVIEW = 2_000;

export function jobPage(view) {
    const path = `/v1/jobs/${view.place}`;
    const log = logPanel(path, view.signal);
    let items = null;
    let job = null;
    let told = null;  // The last progress that an event told of.
    let isListening = false;

    const refresh = async () => {
        const { text } = await getText(path, view.signal);
        const before = job;
        job = { ...JSON.parse(text), source: text };
        if (before && before.attempt !== job.attempt) told = null;
        if (job.items !== undefined) {
            items ??= itemGrid(path, view.signal);
            items.update(job);
        }
        if (!before || (hasEnded(before.state) && !hasEnded(job.state))) log.follow();
        if (!hasEnded(job.state)) listen();
        render();
    };

    const render = () => {
        view.setTitle(`${job.function} ${job.state}`);
        show(view.root,
            heading(job), actions(job, path, () => wake()), facts(job), progress(job, told),
            problem(job), attempts(job), items?.element, result(job, path), log.element, submission(job, path));
    };

    // The stream of a job ends with it; a job that runs again has a new one.
    const listen = async () => {
        if (isListening) return;
        isListening = true;
        await follow(`${path}/events`, (event) => {
            if (event.name === "progress") {
                told = JSON.parse(event.data);
                if (job) render();
                if (job?.items !== undefined) wake();
                return true;
            }
            if (event.name !== "log") wake();
            return event.name !== "state" || !hasEnded(JSON.parse(event.data).state);
        }, view.signal);
        isListening = false;
    };

    const wake = keepLooking(refresh, {
        signal: view.signal,
        every: () => (isListening || (job && hasEnded(job.state)) ? LOOK : POLL),
        fail(error) {
            if (!job) view.fail(error);
            else if (error.status === 404) location.hash = "#/jobs";
        },
    });
}

function heading(job) {
    const copy = () => navigator.clipboard?.writeText(location.hash.split("/")[2])
        .then(() => tell("The id is copied."), () => tell("The browser does not let it be copied.", "bad"));
    return [
        h("h1", null, h("a", { href: `#/functions/${encodeURIComponent(job.function)}` }, job.function),
            " ", badge(job.state)),
        h("p.id", null, h("code", null, job.id), " ",
            h("button.quiet", { type: "button", onclick: copy }, "Copy id"))];
}

/** What can be done with the job as it stands. Listeners know only its path. */
function actions(job, path, done) {
    const post = (action, said) => (event) => act(event.currentTarget, async () => {
        await call("POST", path + action);
        tell(said);
        done();
    });
    const remove = (event) => act(event.currentTarget, async () => {
        if (!await confirm("Forget this job, with its result and its log?", "Forget it")) return;
        await call("DELETE", path);
        tell("The job is forgotten.");
        location.hash = "#/jobs";
    });
    const button = (key, label, onclick, kind = "") => h("button", {
        type: "button", "data-key": key, class: kind, onclick }, label);
    const ended = hasEnded(job.state);
    return h("div.actions", { "data-key": "actions" },
        !ended && button("cancel", "Cancel", post("/cancel", "The job is being cancelled."), "danger"),
        ended && button("retry", job.items !== undefined && job.state !== "succeeded" ? "Run the rest again" : "Run again",
            post("/retry", "The job is queued again.")),
        ended && job.state === "succeeded" && job.progress?.failed > 0 && button("retry-failed",
            "Run failed items again", post("/retry?items=failed", "The failed items are queued again.")),
        h("a.button", { "data-key": "copy", href: `#/functions/${encodeURIComponent(job.function)}?from=${job.id}` },
            "Submit a copy"),
        button("delete", "Forget", remove, "danger quiet"));
}

function facts(job) {
    const fact = (name, value) => value !== null && h("div", null, h("dt", null, name), h("dd", null, value));
    return h("dl.facts", null,
        fact("Submitted", moment(job.created_at)),
        job.not_before && job.state === "queued" ? fact("Not before", moment(job.not_before)) : null,
        fact("Waited", waited(job)),
        fact("Ran", ran(job)),
        fact("Ended", job.ended_at ? moment(job.ended_at) : "–"),
        fact("Attempt", count(job.attempt)),
        fact("Queue", h("a", { href: `#/jobs?queue=${encodeURIComponent(job.queue)}` }, job.queue)),
        fact("Pool", job.pool),
        fact("Priority", String(job.priority)),
        job.cpus > 1 ? fact("CPUs", String(job.cpus)) : null,
        job.expires_at ? fact("Result kept until", moment(job.expires_at)) : null,
        job.tags.length ? fact("Tags", job.tags.map((tag) => [h("a.tag", {
            href: `#/jobs?tag=${encodeURIComponent(tag)}` }, tag), " "])) : null);
}

function progress(job, told) {
    // What a function says of itself is of interest while it runs; a map has its items.
    const shown = { ...job.progress, ...(hasEnded(job.state) ? {} : told) };
    if (shown.done === undefined || (job.items === undefined && job.state !== "running")) return null;
    if (!shown.total) return h("section.progress", null, h("p", null, count(shown.done), " done",
        shown.message ? h("span.soft", null, ` ${shown.message}`) : null));
    const part = Math.floor((100 * shown.done) / shown.total);
    return h("section.progress", { "data-key": "progress" },
        progressBar({ failed: 0, running: 0, ...shown }),
        h("p", null, h("b", null, `${part} %`),
            ` ${count(shown.done)} of ${count(shown.total)}${job.items === undefined ? "" : " items"}`,
            shown.failed ? [", ", h("span.bad", null, `${count(shown.failed)} failed`)] : null,
            shown.running ? `, ${count(shown.running)} running` : null,
            shown.message ? h("span.soft", null, ` ${shown.message}`) : null));
}

function problem(job) {
    const error = job.error;
    if (!error) return null;
    const more = [
        error.index !== undefined ? `item ${error.index}` : null,
        error.signal !== undefined ? `signal ${error.signal}` : null,
        error.exit_status !== undefined ? `exit status ${error.exit_status}` : null,
        error.reason];
    return h("section", { "data-key": "error" },
        h("h2", null, job.state === "failed" ? "Why it failed" : "Last failure",
            h("span.soft", null, ` ${more.filter(Boolean).join(", ")}`)),
        h("p.notice.bad", null, h("b", null, error.type), error.message ? `: ${error.message}` : ""),
        error.traceback ? h("pre", { tabindex: "0" }, error.traceback.trimEnd()) : null);
}

/** What became of the attempts before the last; each is there once it has failed. */
function attempts(job) {
    const earlier = (job.failed_attempts ?? []).filter(
        ({ attempt }) => job.state !== "failed" || attempt < job.attempt);
    if (!earlier.length) return null;
    return h("section", { "data-key": "attempts" }, h("h2", null, "Attempts that failed"),
        earlier.map(({ attempt, started_at: began, ended_at: ended, error }) => h("details", {
            "data-key": `attempt ${attempt}` },
        h("summary", null, h("b", null, `Attempt ${attempt}`), " ",
            h("span.soft", null, moment(began), ` ${duration(between(began, ended))} `),
            h("span.bad", null, `${error.type}: ${error.message}`)),
        h("pre", { tabindex: "0" }, error.traceback?.trimEnd() ?? error.reason))));
}

function result(job, path) {
    if (job.state !== "succeeded") return null;
    const download = (event) => act(event.currentTarget, async () => {
        const response = await call("GET", `${path}/result`);
        save(await response.blob(), `${path.split("/").at(-1)}.json`);
    });
    const source = job.items !== undefined ? null : members(job.source).result;
    return h("section", { "data-key": "result", "data-own": `result ${job.ended_at}` },
        h("h2", null, "Result", source ? h("span.soft", null, ` ${bytes(source.length)}`) : null, " ",
            h("button.quiet", { type: "button", onclick: download }, "Download")),
        source === undefined ? h("p.empty", null, "It was kept as long as was asked, and is gone.")
            : source === null ? preview(job, path) : pretty(source, SHOWN));
}

/** The first results of a map. */
function preview(job, path) {
    const place = h("div", null, h("p.soft", null, `An array of ${counted(job.items, "result")}.`));
    getText(`${path}/result`, undefined, PREVIEW).then(({ text, isWhole }) => {
        place.append(isWhole ? pretty(text) : h("pre.json", { tabindex: "0" }, text, h("span.cut", null, " …")));
    }, (error) => place.append(failure(error)));
    return place;
}

function save(blob, name) {
    const address = URL.createObjectURL(blob);
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** What was asked, read when it is opened. */
function submission(job, path) {
    const place = h("div");
    const open = async (event) => {
        if (!event.currentTarget.open || place.firstChild) return;
        try {
            const { text } = await getText(`${path}/submission`, undefined, SHOWN);
            place.replaceChildren(pretty(text, SHOWN - 1));
        } catch (error) {
            place.replaceChildren(failure(error));
        }
    };
    return h("details", { "data-key": "submission", "data-own": "submission", ontoggle: open },
        h("summary", null, "Submission"), place);
}
