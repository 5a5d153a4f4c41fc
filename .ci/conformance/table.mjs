// The table that the READMEs show.

const header = ["scenarios passed", "direct", "hub → HTTP", "hub → stdio, a child per client", "hub → stdio, one shared child"];

export function table(revisions, cells) {
  const row = words => `| ${words.join(" | ")} |`;
  const line = (name, by) => row([name, ...["direct", "http", "stdio", "shared"].map(column => by?.[column] ?? "–")]);
  return [row(header), "|" + "---|".repeat(header.length),
    ...revisions.map(r => line(`server, ${r}`, cells[r])),
    ...revisions.map(r => line(`client, ${r}`, cells[`${r} client`]))];
}

// missing gives the lines of the table that a text, which shows such a table, does not have.
export function missing(text, lines) {
  const has = new Set(text.split(/\r?\n/));
  return has.has(lines[0]) ? lines.filter(line => !has.has(line)) : [];
}
