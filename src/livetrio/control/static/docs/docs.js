// The API's page: what /openapi.json says, for people.

import { api } from "/assets/console/api.js";
import { el, show } from "/assets/shared/dom.js";
import { addSwitches, t, translate } from "/assets/shared/i18n.js";

translate();
addSwitches(document.getElementById("switches"));

function parameters(list) {
  if (!list?.length) return null;
  const rows = list.map((parameter) => el(
    "tr", {},
    el("td", {}, el("code", {}, parameter.name)),
    el("td", { class: "quiet" }, parameter.in + (parameter.required ? " *" : "")),
    el("td", {}, parameter.description),
  ));
  return section(t("docs.parameters"), rows);
}

function answers(responses) {
  const rows = Object.entries(responses).map(([status, response]) => el(
    "tr", {},
    el("td", {}, el("span", { class: `badge ${status < "400" ? "ok" : "warn"}` }, status)),
    el("td", { class: "quiet" }, Object.keys(response.content ?? {}).join(", ")),
    el("td", {}, response.description),
  ));
  return section(t("docs.answers"), rows);
}

function body(request) {
  const schema = request?.content["application/json"].schema;
  if (!schema) return null;
  const rows = Object.entries(schema.properties).map(([name, property]) => el(
    "tr", {},
    el("td", {}, el("code", {}, name)),
    el("td", { class: "quiet" }, property.type ?? property.enum?.join(" | ") ?? ""),
  ));
  return section(t("docs.body"), rows);
}

function section(title, rows) {
  return el(
    "div", { class: "scroll" },
    el("h3", { class: "small quiet" }, title), el("table", {}, el("tbody", {}, rows)),
  );
}

function card(path, methods, operation) {
  return el(
    "details", { class: "card" },
    el(
      "summary", {},
      methods.flatMap((method) => [el("span", { class: "badge" }, method.toUpperCase()), " "]),
      el("code", {}, path), " ", el("span", { class: "quiet" }, operation.summary),
    ),
    el(
      "div", { class: "stack" },
      operation.description ? el("p", {}, operation.description) : null,
      parameters(operation.parameters), body(operation.requestBody), answers(operation.responses),
    ),
  );
}

const { paths } = await api("/openapi.json");
const groups = new Map();
for (const [path, item] of Object.entries(paths)) {
  const bySummary = Map.groupBy
    ? Map.groupBy(Object.entries(item), ([, operation]) => operation.summary)
    : new Map(Object.entries(item).map((pair) => [pair[0], [pair]]));
  for (const pairs of bySummary.values()) {
    const operation = pairs[0][1];
    const tag = operation.tags[0];
    const made = card(path, pairs.map(([method]) => method), operation);
    groups.set(tag, [...(groups.get(tag) ?? []), made]);
  }
}
show(
  document.getElementById("operations"),
  [...groups].flatMap(([tag, cards]) => [el("h2", {}, tag), ...cards]),
);
