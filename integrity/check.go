package integrity

// Check compares a whole list with the lock file and changes nothing: what is not pinned is Added, also
// where no complete list was seen before. The findings are those of [Walk.Page] for a single page.
func (f *File) Check(server string, kind Kind, items [][]byte) []Finding {
	p := &Pins{file: f, name: server, cfg: Config{NewTools: "quarantine"}}
	defs := make([]definition, len(items))
	for i, raw := range items {
		defs[i] = readDefinition(raw)
	}
	start := newTally()
	j := judgement{Pins: p, kind: kind, defs: defs, earlier: start, seen: start.with(defs), exact: true}
	c := f.content.Load()
	known := *c.server(server)
	known.sets[kind].complete = true
	j.run(c.with(server, &known), &edit{base: &known})
	for i := range j.found {
		if j.found[i].Status == Added {
			j.found[i].Detail = "not pinned"
		}
	}
	return j.found
}

// CheckInstructions is Check for the server's instructions.
func (f *File) CheckInstructions(server string, text []byte, present bool) Finding {
	p := &Pins{file: f, name: server}
	found := Finding{Kind: Instructions, Index: -1}
	now, err := readInstructions(text, present)
	if err != nil {
		found.Detail = Visible(err.Error())
		return p.judged(found, Malformed)
	}
	switch pin := f.content.Load().server(server).sets[Instructions].pins[""]; {
	case pin == nil:
		found.Detail = "not pinned"
		return p.judged(found, Added)
	case pin.digest == now.digest:
		return p.judged(found, Same)
	default:
		found.Detail = "not the instructions that were pinned"
		return p.judged(found, Changed)
	}
}
