package policy

import (
	"reflect"
	"strings"
	"testing"
)

// nonZero returns a value for a field of a Config that restricts something.
func nonZero(t *testing.T, name string, typ reflect.Type) reflect.Value {
	t.Helper()
	for _, v := range []any{
		[]string{"x"}, true, "deny", map[string]ToolRule{"x": {DenyUnknownArgs: true}},
		ServerRequests{Sampling: "deny", Elicitation: "deny", Roots: "deny"},
	} {
		if reflect.TypeOf(v) == typ {
			return reflect.ValueOf(v)
		}
	}
	t.Fatalf("no value for field %s of type %v; add one", name, typ)
	return reflect.Value{}
}

// A field that Layer forgets would be a restriction that nobody enforces.
func TestOverrideBecomesALayerWhole(t *testing.T) {
	fields := reflect.TypeFor[Override]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		var o Override
		value := nonZero(t, f.Name, f.Type)
		reflect.ValueOf(&o).Elem().Field(i).Set(value)
		got := reflect.ValueOf(o.Layer("x").Config).FieldByName(f.Name)
		if !got.IsValid() || !reflect.DeepEqual(got.Interface(), value.Interface()) {
			t.Errorf("%s is lost", f.Name)
		}
		if in, ok := reflect.TypeFor[Config]().FieldByName(f.Name); !ok || in.Tag != f.Tag {
			t.Errorf("%s is spelled differently in an override", f.Name)
		}
	}
}

func TestEveryRestrictionIsARule(t *testing.T) {
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		if f.Name == "OnDeny" || f.Name == "HideDenied" || f.Name == "Shadow" { // they say how a denial looks, or that it is told only
			continue
		}
		var c Config
		reflect.ValueOf(&c).Elem().Field(i).Set(nonZero(t, f.Name, f.Type))
		if !mustCompile(t, c).HasRules() {
			t.Errorf("%s alone is no rule", f.Name)
		}
		if !mustCompile(t, Config{}, Layer{"hub", c}).HasRules() {
			t.Errorf("%s alone in a layer is no rule", f.Name)
		}
	}
	e := mustCompile(t, Config{OnDeny: OnDenyToolError, ServerRequests: ServerRequests{Roots: "allow"}}, Layer{"hub", Config{HideDenied: true}})
	if e.HasRules() || e.OnDeny() != OnDenyToolError || !e.HideDenied() {
		t.Errorf("rules %v, on_deny %s, hide_denied %v", e.HasRules(), e.OnDeny(), e.HideDenied())
	}
	if got := mustCompile(t, Config{}).OnDeny(); got != OnDenyError {
		t.Errorf("on_deny is %q by default", got)
	}
}

func TestCompileNamesTheLayerThatIsWrong(t *testing.T) {
	_, err := Compile(Config{}, Layer{"client ci-bot", Config{DenyTools: []string{"["}}})
	if err == nil || !strings.Contains(err.Error(), "client ci-bot: deny_tools[0]") {
		t.Errorf("got %v", err)
	}
}
