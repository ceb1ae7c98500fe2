// Elements out of calls, and a page made like another one without losing focus or scrolling.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `h("a.wide", {href: "#/", onclick: f}, "text", [more])`.
 * Attributes that are null or false are left out; text is only ever text.
 */
export function h(name, attributes, ...children) {
    const [tag, ...classes] = name.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    return fill(element, attributes, children);
}

/** The same for a part of a drawing. */
export function s(name, attributes, ...children) {
    return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name === "class") element.setAttribute("class", `${element.className} ${value}`.trim());
        else if (name === "value" && "value" in element) element.value = value;
        else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined
        && child !== false));
    return element;
}

/**
 * Makes the children of `parent` like `wanted`, keeping every element that can stay.
 *
 * Elements with the same `data-key` are the same; one with `data-own` looks after its own inside.
 * Listeners of a kept element stay as they were, so they must not depend on what was shown.
 * A page that was busy is so no more.
 */
export function show(parent, ...wanted) {
    const model = document.createElement("div");
    model.append(...wanted.flat(Infinity).filter((child) => child !== null && child !== undefined
        && child !== false));
    matchChildren(parent, model);
    parent.removeAttribute("aria-busy");
}

function matchChildren(parent, model) {
    const keyed = new Map();
    for (const child of parent.children) {
        if (child.dataset?.key) keyed.set(child.dataset.key, child);
    }
    let place = parent.firstChild;
    for (const wanted of [...model.childNodes]) {
        const key = wanted.dataset?.key;
        const found = key ? keyed.get(key) : place;
        if (found && isSame(found, wanted)) {
            if (found === place) place = place.nextSibling;
            else parent.insertBefore(found, place);
            matchNode(found, wanted);
        } else {
            parent.insertBefore(wanted, place);
        }
    }
    while (place) {
        const next = place.nextSibling;
        place.remove();
        place = next;
    }
}

function isSame(node, wanted) {
    return node.nodeName === wanted.nodeName && node.dataset?.key === wanted.dataset?.key
        && node.dataset?.own === wanted.dataset?.own;
}

function matchNode(node, wanted) {
    if (node.nodeType !== Node.ELEMENT_NODE) {
        if (node.data !== wanted.data) node.data = wanted.data;
        return;
    }
    if (node.dataset.own) return;
    for (const { name } of [...node.attributes]) {
        // What the reader has opened stays open.
        if (!wanted.hasAttribute(name) && name !== "open") node.removeAttribute(name);
    }
    for (const { name, value } of wanted.attributes) {
        if (node.getAttribute(name) === value) continue;
        // As the policy wants it: an attribute with style could come from anywhere.
        if (name === "style") node.style.cssText = value;
        else node.setAttribute(name, value);
    }
    matchChildren(node, wanted);
}
