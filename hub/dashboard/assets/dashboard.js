"use strict";

// The live list of the overview. Rows come as cells of text, and become text: nothing here makes mark-up of what it gets.
(() => {
	const MAX_ROWS = 200; // in the page; what was pushed out is found by the search
	const EVERY = 250; // ms between two changes of the page
	const SAY_EVERY = 15000; // ms between two sentences for screen readers: each row would be a flood

	const byId = (id) => document.getElementById(id);
	const list = byId("live");
	const body = byId("live-rows");
	if (!list || !body || !window.EventSource) return;
	const state = byId("live-state");
	const skipped = byId("live-skipped");
	const said = byId("live-said");
	const pause = byId("live-pause");

	let source = null;
	let paused = false;
	let waiting = []; // rows that are not in the page yet, newest first
	let missed = 0; // events that passed too fast for the page
	let timer = 0;
	let heard = { rows: 0, denied: 0, at: Date.now() };
	const known = new Set();
	for (const row of body.rows) known.add(row.dataset.key);

	const make = (name, className, text) => {
		const element = document.createElement(name);
		if (className) element.className = className;
		if (text !== undefined) element.textContent = text;
		return element;
	};

	const makeText = (segments) => {
		const all = make("bdi");
		for (const s of segments) {
			if (s.c) {
				const mark = make("span", "ctl", s.c);
				mark.title = s.c + " " + s.n;
				all.append(mark);
			} else {
				all.append(s.t);
			}
		}
		return all;
	};

	const makeCell = (cell) => {
		const td = make("td", cell.class);
		const ours = cell.href && cell.href.startsWith("/dashboard/");
		const holder = make(ours ? "a" : "span");
		if (ours) holder.setAttribute("href", cell.href);
		if (cell.at) {
			const time = make("time");
			time.dateTime = cell.at;
			time.title = cell.full;
			if (cell.date) time.append(make("span", "date", cell.date), " ");
			time.append(cell.clock);
			holder.append(time);
		} else {
			holder.append(makeText(cell.text));
		}
		td.append(holder);
		return td;
	};

	const makeRow = (row) => {
		const tr = make("tr", "is-" + row.class + " fresh");
		tr.dataset.key = row.key;
		for (const cell of row.cells) tr.append(makeCell(cell));
		return tr;
	};

	const plural = (n, one, many) => n.toLocaleString("en") + " " + (n === 1 ? one : many);

	const tellSkipped = () => {
		skipped.hidden = missed === 0;
		skipped.textContent = plural(missed, "event", "events") + " passed too fast to be shown: the search has them all.";
	};

	// update puts what waits into the page, at most once in EVERY.
	const update = () => {
		timer = 0;
		if (paused) {
			pause.textContent = waiting.length ? "Resume (" + waiting.length + ")" : "Resume";
			return;
		}
		if (waiting.length) {
			byId("live-none")?.remove();
			const all = document.createDocumentFragment();
			for (const row of waiting) all.append(makeRow(row));
			body.prepend(all);
			waiting = [];
			while (body.rows.length > MAX_ROWS) {
				known.delete(body.lastElementChild.dataset.key);
				body.lastElementChild.remove();
			}
		}
		tellSkipped();
		const now = Date.now();
		if (heard.rows && now - heard.at >= SAY_EVERY) {
			said.textContent = plural(heard.rows, "new decision", "new decisions") + ", " + heard.denied.toLocaleString("en") + " denied";
			heard = { rows: 0, denied: 0, at: now };
		}
	};

	const take = (rows) => {
		const fresh = rows.filter((row) => !known.has(row.key));
		for (const row of fresh) {
			known.add(row.key);
			heard.rows++;
			if (row.class === "deny") heard.denied++;
		}
		waiting = fresh.concat(waiting);
		for (const row of waiting.splice(MAX_ROWS)) {
			known.delete(row.key);
			missed++;
		}
		if (!timer) timer = setTimeout(update, EVERY);
	};

	const tell = (text, on) => {
		state.textContent = "";
		state.append(make("span", on ? "on" : "", text));
	};

	const open = () => {
		if (source || document.hidden) return;
		tell("connecting", false);
		source = new EventSource(list.dataset.stream);
		source.addEventListener("recent", (e) => {
			tell("live", true);
			take(JSON.parse(e.data).rows);
		});
		source.addEventListener("tick", (e) => {
			const tick = JSON.parse(e.data);
			tell((paused ? "paused" : "live") + ", " + tick.rate + "/s, " + tick.alive + " alive, " + tick.total + " in all", !paused);
			missed += tick.missed;
			take(tick.rows);
		});
		source.addEventListener("error", () => {
			// A browser comes back by itself but when it was refused: the session has ended.
			if (source && source.readyState === EventSource.CLOSED) {
				close();
				tell("not connected: ", false);
				const again = make("a", "", "log in again");
				again.setAttribute("href", "/dashboard");
				state.append(again);
			} else {
				tell("connection lost, trying again", false);
			}
		});
	};

	const close = () => {
		source?.close();
		source = null;
	};

	pause.addEventListener("click", () => {
		paused = !paused;
		pause.setAttribute("aria-pressed", String(paused));
		pause.textContent = paused ? "Resume" : "Pause";
		if (!paused) update();
	});
	document.addEventListener("visibilitychange", () => {
		if (document.hidden) {
			close();
		} else {
			open(); // it begins with the newest: what came in between is caught up with
		}
	});
	window.addEventListener("pagehide", close);
	window.addEventListener("pageshow", open);

	byId("live-controls").hidden = false;
	open();
})();
