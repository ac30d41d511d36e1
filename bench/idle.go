package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"rollcall/e2e/lab"
)

// Idle is what a rollcall costs that nobody sends a request through: it polls,
// and nothing changes.
type Idle struct {
	Containers int
	Ready      time.Duration // from its start until all are in rotation
	CPU        float64       // seconds a minute, after that
	Memory     int64         // bytes, at the end
}

// idleSizes are the numbers of containers that it is measured with.
var idleSizes = []int{10, 100, 1000, 10000}

// idleWindow is several polls long: they come each three seconds.
const idleWindow = 15 * time.Second

// idle measures a rollcall of each size, one after the other.
func idle(t lab.T, s *Stand) (list []Idle) {
	for _, n := range idleSizes {
		say("idle with %d containers", n)
		list = append(list, idleWith(t, s, n))
	}
	return list
}

func idleWith(t lab.T, s *Stand, n int) Idle {
	t.Helper()
	engine := startEngine(t)
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = s.addresses[i%len(s.addresses)]
	}
	addContainers(engine, addresses)
	admin := freeAddress(t)
	cmd := exec.CommandContext(t.Context(), s.bin.Rollcall, "serve", "--listen", freeAddress(t), "--admin", admin,
		"--docker-host", engine.Host(), "--address", "published", "--log-level", "warn")
	cmd.Env = environment(s.dir)
	began := time.Now()
	p := startProcess(t, s.dir, fmt.Sprintf("idle-%d", n), cmd)
	defer p.stop()
	r := lab.RollcallAt("", "http://"+admin)
	lab.Await(t, "all containers are in rotation", func() error {
		return errors.Join(p.running(), allHealthy(t, r, n))
	})
	i := Idle{Containers: n, Ready: time.Since(began)}
	before := cpuTime(p.tree())
	pause(t.Context(), idleWindow)
	i.CPU = (cpuTime(p.tree()) - before).Seconds() * float64(time.Minute) / float64(idleWindow)
	i.Memory = memory(p.tree())
	return i
}

// allHealthy asks rollcall for the one service that there is.
func allHealthy(t lab.T, r *lab.Rollcall, n int) error {
	answer, err := r.TryGetAdmin(t.Context(), "/v1/services/hello")
	if err != nil {
		return err
	}
	var service struct{ Healthy int }
	if err := json.Unmarshal([]byte(answer.Body), &service); err != nil {
		return err
	}
	if service.Healthy != n {
		return fmt.Errorf("%d of %d are", service.Healthy, n)
	}
	return nil
}

func (r *Report) writeIdle(w io.Writer) {
	fmt.Fprintf(w, "\n## Idle\n\nrollcall alone, polling each three seconds containers of one service that do not change.\n\n")
	fmt.Fprintf(w, "![processor time of an idle rollcall, by number of containers](idle.svg)\n\n")
	fmt.Fprintf(w, "| containers | all in rotation after | processor seconds a minute | memory, MiB |\n| --- | --- | --- | --- |\n")
	for _, i := range r.Idle {
		fmt.Fprintf(w, "| %d | %v | %.2f | %.0f |\n", i.Containers, i.Ready.Round(10*time.Millisecond), i.CPU, float64(i.Memory)/(1<<20))
	}
}

func (r *Report) plotIdle() string {
	var sizes []int
	var values []float64
	for _, i := range r.Idle {
		sizes, values = append(sizes, i.Containers), append(values, i.CPU)
	}
	k := curves{heading: "an idle rollcall: processor seconds a minute, by number of containers", least: 0.01, greatest: 100,
		write: func(v float64) string { return fmt.Sprintf("%.3g", v) }, lines: []curve{{"", values}}}
	return k.draw(sizes)
}
