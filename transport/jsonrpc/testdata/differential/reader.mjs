// What JSON.parse sees in each line of stdin: see view in differential_test.go for the form.
import fs from "node:fs";

const text = s => '"' + s.replace(/[^ !#-[\]-~]/g, c => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")) + '"';

function number(n) {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, n);
  return "#" + bits.getBigUint64(0).toString(16).padStart(16, "0");
}

function value(v) {
  if (v === undefined) return "";
  if (v === null || typeof v === "boolean") return String(v);
  if (typeof v === "number") return number(v);
  if (typeof v === "string") return text(v);
  if (Array.isArray(v)) return "[" + v.map(value).join(",") + "]";
  return "{" + Object.keys(v).map(k => text(k) + ":" + value(v[k])).sort().join(",") + "}";
}

const has = (o, k) => o !== null && typeof o === "object" && Object.hasOwn(o, k);
const get = (o, k) => has(o, k) ? o[k] : undefined;

function view(m) {
  const kind = has(m, "method") ? (has(m, "id") ? "request" : "notification") : has(m, "result") ? "result" : "error";
  const params = get(m, "params"), id = get(m, "id");
  return [kind, value(id === null ? undefined : id), value(get(m, "method")), value(get(params, "name")), value(get(params, "uri")),
    value(get(params, "arguments")), value(m)].join("\t");
}

const lines = fs.readFileSync(0, "utf8").split("\n").slice(0, -1);
fs.writeSync(1, lines.map(l => view(JSON.parse(l)) + "\n").join(""));
