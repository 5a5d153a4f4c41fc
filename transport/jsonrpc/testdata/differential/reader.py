"""What json.loads sees in each line of stdin: see view in differential_test.go for the form."""
import json
import struct
import sys


def text(s):
    units = s.encode("utf-16-be", "surrogatepass")
    out = []
    for i in range(0, len(units), 2):
        unit = units[i] << 8 | units[i + 1]
        out.append(chr(unit) if 0x20 <= unit <= 0x7E and unit not in (0x22, 0x5C) else "\\u%04x" % unit)
    return '"' + "".join(out) + '"'


def value(v):
    if v is None:
        return "null"
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, float):
        return "#" + struct.pack(">d", v).hex()
    if isinstance(v, str):
        return text(v)
    if isinstance(v, list):
        return "[" + ",".join(map(value, v)) + "]"
    return "{" + ",".join(sorted(text(k) + ":" + value(v[k]) for k in v)) + "}"


def member(o, name):
    return value(o[name]) if isinstance(o, dict) and name in o else ""


def view(m):
    if "method" in m:
        kind = "request" if "id" in m else "notification"
    else:
        kind = "result" if "result" in m else "error"
    params = m.get("params")
    identity = "" if m.get("id") is None else value(m["id"])
    return "\t".join([kind, identity, member(m, "method"), member(params, "name"), member(params, "uri"), member(params, "arguments"), value(m)])


for line in sys.stdin.buffer.read().split(b"\n")[:-1]:
    sys.stdout.write(view(json.loads(line, parse_int=float)) + "\n")
