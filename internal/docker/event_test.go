package docker

import (
	"reflect"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
)

func TestNewEvent(t *testing.T) {
	message := func(kind events.Type, action events.Action, id string, attr map[string]string) events.Message {
		return events.Message{Type: kind, Action: action, Actor: events.Actor{ID: id, Attributes: attr}, Time: 1795491319}
	}
	type attr = map[string]string
	for _, c := range []struct {
		name string
		in   events.Message
		want Event // Action "" = dropped
	}{
		{"kill by number", message("container", "kill", "c1", attr{"signal": "3", "name": "web"}),
			Event{Type: "container", Action: "kill", ID: "c1", Name: "web", Signal: "SIGQUIT"}},
		{"die", message("container", "die", "c1", attr{"exitCode": "137"}),
			Event{Type: "container", Action: "die", ID: "c1", ExitCode: "137"}},
		{"health", message("container", "health_status: healthy", "c1", nil),
			Event{Type: "container", Action: "health_status", ID: "c1", Health: "healthy"}},
		{"network", message("network", "connect", "n1", attr{"container": "c1", "name": "bridge"}),
			Event{Type: "network", Action: "connect", ID: "c1", Name: "bridge"}},
		{"a label called signal", message("container", "start", "c1", attr{"signal": "9", "exitCode": "1"}),
			Event{Type: "container", Action: "start", ID: "c1"}},
		{"network of nobody", message("network", "connect", "n1", nil), Event{}},
		{"a network is created", message("network", "create", "n1", attr{"container": "c1"}), Event{}},
		{"exec", message("container", "exec_create: /bin/sh", "c1", nil), Event{}},
		{"exec with a lie", message("container", "exec_start: kill", "c1", nil), Event{}},
		{"top", message("container", "top", "c1", nil), Event{}},
		{"image", message("image", "create", "i1", nil), Event{}},
		{"nothing", events.Message{}, Event{}},
		{"no ID", message("container", "start", "", nil), Event{}},
	} {
		got, ok := newEvent(c.in)
		if ok != (c.want.Action != "") {
			t.Errorf("%s: taken %v", c.name, ok)
			continue
		}
		if !ok {
			continue
		}
		c.want.Attributes, c.want.Time = c.in.Actor.Attributes, time.Unix(1795491319, 0).UTC()
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
	m := events.Message{Type: "container", Action: "start", Actor: events.Actor{ID: "c"}, Time: 7, TimeNano: 7e9 + 5}
	if e, _ := newEvent(m); !e.Time.Equal(time.Unix(7, 5)) {
		t.Errorf("time %v", e.Time)
	}
}
