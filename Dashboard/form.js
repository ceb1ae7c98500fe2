// A form made from a function's JSON Schema, which submits a job. What is typed as JSON is sent
// as it was typed.

import { call } from "./api.js";
import { h } from "./dom.js";
import { isJSON } from "./json.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const INTEGER = /^-?(0|[1-9]\d*)$/;

/** What a field holds cannot be sent. */
class Mistake extends Error {
    constructor(input, message) {
        super(message);
        this.input = input;
    }
}

export function submissionForm(target, filled) {
    const schema = target.parameters ?? {};
    const fields = Object.entries(schema.properties ?? {}).map(
        ([name, each]) => argumentField(name, each, (schema.required ?? []).includes(name)));
    const isOpen = !fields.length || "x-variadic" in schema;
    const modes = {
        fields: h("div.fields", null, fields.map((field) => field.element)),
        json: h("div.fields", null, jsonField(filled.args ?? "[]")),
        map: mapFields(filled, (schema.required ?? []).length),
    };
    const start = filled.map !== undefined ? "map" : isOpen || filled.args !== undefined ? "json" : "fields";
    const labels = { fields: "Arguments", json: "As JSON", map: "Map" };
    const choose = (mode) => {
        for (const [name, part] of Object.entries(modes)) part.hidden = name !== mode;
    };
    const choice = h("fieldset.modes", null, h("legend.unseen", null, "What to run"),
        Object.keys(modes).filter((mode) => mode !== "fields" || !isOpen).map((mode) => h("label", null,
            h("input", { type: "radio", name: "mode", value: mode, checked: mode === start,
                onchange: () => choose(mode) }), h("span", null, labels[mode]))));
    choose(start);
    const alert = h("p.notice.bad", { role: "alert", hidden: true });
    const button = h("button.main", null, "Submit");
    const form = h("form.submission", { novalidate: true }, choice, Object.values(modes),
        settings(target, filled), alert, h("div.actions", null, button));

    const refuse = (message, input) => {
        alert.textContent = message;
        alert.hidden = false;
        for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
        input?.closest("details")?.setAttribute("open", "");
        input?.setAttribute("aria-invalid", "true");
        input?.focus();
    };
    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        alert.hidden = true;
        button.disabled = true;
        try {
            const mode = form.elements.mode.value;
            const body = [["function", JSON.stringify(target.name)],
                ...(mode === "fields" ? [["args", objectOf(fields)]] : mode === "json"
                    ? [["args", argumentsOf(form)]] : mapOf(form)),
                ...settingsOf(form)];
            const text = `{${body.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
            const job = await (await call("POST", "/v1/jobs", { body: text })).json();
            location.hash = `#/jobs/${job.id}`;
        } catch (problem) {
            refuse(problem.message, problem.input ?? fieldAt(form, problem.pointer));
        } finally {
            button.disabled = false;
        }
    });
    return form;
}

/** The field that a problem of the server's is about. */
function fieldAt(form, pointer) {
    const names = (pointer ?? "").split("/").slice(1);
    return form.elements[names[0] === "args" && names[1] ? `arg ${names[1]}` : names.join(".")]
        ?? form.elements[names[0]];
}

// MARK: Arguments

function labelled(name, input, hint, label = name) {
    input.id = `field-${name.replace(/\W/g, "-")}`;
    if (hint) input.setAttribute("aria-describedby", `${input.id}-hint`);
    return h("div.field", { class: input.type === "checkbox" ? "tick" : null },
        h("label", { for: input.id }, label), input,
        hint ? h("span.hint", { id: `${input.id}-hint` }, hint) : null);
}

/** The field of one argument: its element, and `read()`, the JSON typed or null for none. */
function argumentField(name, schema, isRequired) {
    const types = [schema.type ?? []].flat();
    const isNullable = types.includes("null");
    const kinds = types.filter((type) => type !== "null");
    const attributes = {
        name: `arg ${name}`, autocomplete: "off", spellcheck: "false", required: isRequired,
        placeholder: "default" in schema ? JSON.stringify(schema.default) : null,
    };
    const words = [schema.enum ? null : kinds.join(" or ") || "any JSON", isRequired ? null : "optional"];
    const { input, read } = fieldOf(schema, kinds, attributes, isRequired);
    const hint = [...words, schema.description].filter(Boolean).join(", ");
    return {
        name,
        element: labelled(attributes.name, input, hint, name),
        read() {
            const isEmpty = input.value === "" && kinds[0] !== "boolean";
            if (isEmpty && !isRequired) return null;
            if (isEmpty && isNullable) return "null";
            return read(input);
        },
    };
}

function fieldOf(schema, kinds, attributes, isRequired) {
    if (schema.enum) {
        return {
            input: h("select", attributes, isRequired ? null : h("option", { value: "" }, "–"),
                schema.enum.map((value) => h("option", { value: JSON.stringify(value),
                    selected: value === schema.default }, String(value)))),
            read: (input) => input.value,
        };
    }
    const only = kinds.length === 1 ? kinds[0] : null;
    if (only === "boolean") {
        return {
            input: h("input", { ...attributes, required: null, type: "checkbox", checked: schema.default === true }),
            read: (input) => String(input.checked),
        };
    }
    if (only === "integer" || only === "number") {
        return { input: h("input", { ...attributes, inputmode: "decimal" }), read: (input) => number(input, only) };
    }
    if (only === "string") {
        return { input: h("textarea", { ...attributes, rows: 1 }), read: (input) => JSON.stringify(input.value) };
    }
    return { input: h("textarea.code", { ...attributes, rows: 2 }), read: (input) => anything(input, kinds) };
}

/** A number, sent with the digits that were typed. */
function number(input, kind) {
    const text = input.value.trim();
    if (!(kind === "integer" ? INTEGER : NUMBER).test(text)) {
        throw new Mistake(input, `This must be ${kind === "integer" ? "a whole number" : "a number"}.`);
    }
    return text;
}

/** JSON; where a string may stand, anything else is one. */
function anything(input, kinds) {
    if (isJSON(input.value)) return input.value.trim();
    if (!kinds.length || kinds.includes("string")) return JSON.stringify(input.value);
    throw new Mistake(input, `This must be JSON: ${kinds.join(" or ")}.`);
}

function objectOf(fields) {
    const given = fields.map((field) => [field.name, field.read()]).filter(([, value]) => value !== null);
    return `{${given.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

function jsonField(text) {
    return labelled("args", h("textarea.code", { name: "args", rows: 5, spellcheck: "false", value: text }),
        "an array by position, or an object by name", "Arguments");
}

function argumentsOf(form) {
    const input = form.elements.args;
    if (!isJSON(input.value) || !/^\s*[[{]/.test(input.value)) {
        throw new Mistake(input, "The arguments must be a JSON array or object.");
    }
    return input.value.trim();
}

// MARK: Map

function mapFields(filled, needed) {
    const tick = (name) => h("input", { type: "checkbox", name, checked: filled[name] === "true"
        || (filled.map === undefined && needed > 1) });
    return h("div.fields", null,
        labelled("map", h("textarea.code", { name: "map", rows: 6, spellcheck: "false", value: filled.map ?? "" }),
            "a JSON array, or a JSON value a line", "Items"),
        labelled("spread", tick("spread"), "each item is itself an array or object of arguments", "Spread"),
        h("div.row", null,
            labelled("concurrency", h("input", { name: "concurrency", inputmode: "numeric",
                value: filled.concurrency ?? "" }), "items at once", "Concurrency"),
            labelled("on_error", h("select", { name: "on_error" }, ["stop", "continue"].map((each) => h("option", {
                value: each, selected: filled.on_error === JSON.stringify(each) }, each))),
            "when an item fails", "On error")));
}

function mapOf(form) {
    const input = form.elements.map;
    const text = input.value.trim();
    let items = text;
    if (!text.startsWith("[") || !isJSON(text)) {
        const values = text.split("\n").map((line) => line.trim()).filter(Boolean);
        const wrong = values.findIndex((line) => !isJSON(line));
        if (wrong >= 0) throw new Mistake(input, `Line ${wrong + 1} is not JSON; strings stand in quotes.`);
        items = `[${values.join(",")}]`;
    }
    const members = [["map", items], ["on_error", JSON.stringify(form.elements.on_error.value)]];
    if (form.elements.spread.checked) members.push(["spread", "true"]);
    if (form.elements.concurrency.value) members.push(["concurrency", number(form.elements.concurrency, "integer")]);
    return members;
}

// MARK: Settings

const NUMBERS = { priority: "integer", cpus: "integer", delay: "number", timeout: "number", keep: "number" };

function settings(target, filled) {
    const text = (name, label, hint, value = filled[name] ?? "") => labelled(name, h("input", {
        name, value, autocomplete: "off", inputmode: name in NUMBERS ? "decimal" : null }), hint, label);
    const plain = (source) => (source ? JSON.parse(source) : "");
    const pool = h("select", { name: "pool" }, h("option", { value: "" }, `${target.pool} (default)`),
        target.pools.filter((each) => each !== target.pool).map((each) => h("option", {
            value: each, selected: plain(filled.pool) === each }, each)));
    const attempts = plain(filled.retry).max_attempts ?? "";
    return h("details.settings", null, h("summary", null, "Settings"), h("div.row", null,
        labelled("pool", pool, "where it runs", "Pool"),
        text("queue", "Queue", "default", plain(filled.queue)),
        text("priority", "Priority", "-1000 to 1000"),
        text("cpus", "CPUs", `slots that a call takes; ${target.cpus ?? 1} if not said`),
        text("delay", "Delay", "seconds"),
        text("timeout", "Timeout", "seconds"),
        text("keep", "Keep", "seconds"),
        text("retry.max_attempts", "Attempts", "at most", String(attempts)),
        text("tags", "Tags", "with commas between", plain(filled.tags) ? plain(filled.tags).join(", ") : "")));
}

function settingsOf(form) {
    const members = [];
    for (const name of ["pool", "queue"]) {
        const value = form.elements[name].value.trim();
        if (value) members.push([name, JSON.stringify(value)]);
    }
    for (const [name, kind] of Object.entries(NUMBERS)) {
        if (form.elements[name].value.trim()) members.push([name, number(form.elements[name], kind)]);
    }
    const attempts = form.elements["retry.max_attempts"];
    if (attempts.value.trim()) members.push(["retry", `{"max_attempts":${number(attempts, "integer")}}`]);
    const tags = form.elements.tags.value.split(",").map((tag) => tag.trim()).filter(Boolean);
    if (tags.length) members.push(["tags", JSON.stringify(tags)]);
    return members;
}
