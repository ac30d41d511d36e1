package main

import (
	"encoding/xml"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/e2e/lab"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.values); got != c.want {
			t.Errorf("%v: %v", c.values, got)
		}
	}
}

// someContest has rounds of different speed, in which rollcall always costs
// twice of what nginx does.
func someContest() *Contest {
	c := &Contest{Workloads: workloads(1000)}
	for _, name := range []string{rollcall, nginx, naive} {
		c.Contestants = append(c.Contestants, &Contestant{Name: name, Says: "says", Version: "1"})
	}
	for round, speed := range []int{1, 10, 2} {
		for _, w := range c.Workloads {
			for name, cost := range map[string]int{rollcall: 20, nginx: 10, naive: 50} {
				c.Cells = append(c.Cells, Cell{Round: round, Workload: w.Name, Contestant: name, Requests: 1000, Took: time.Second,
					CPU: time.Duration(cost*speed) * time.Millisecond, P99: time.Duration(cost) * time.Millisecond})
			}
		}
	}
	return c
}

func TestRatiosAreOfOneRound(t *testing.T) {
	c := someContest()
	c.Cells = slices.DeleteFunc(c.Cells, func(cell Cell) bool { return cell.Round == 0 && cell.Contestant == rollcall })
	slices.Reverse(c.Cells)
	if got := c.Ratio("small-64", rollcall, nginx, perRequest); math.Abs(got-2) > 1e-9 {
		t.Error(got)
	}
	if got := c.Ratio("small-64", rollcall, caddy, perRequest); got != 0 {
		t.Error(got)
	}
}

func TestMarks(t *testing.T) {
	c := someContest()
	for _, m := range marks {
		want := map[string]string{naive: "missed by 14 %", caddy: "not measured", nginx: "met"}[m.To]
		switch m.Workload {
		case "post-64k":
			want = "missed by 186 %"
		case "get-10m":
			want = "missed by 233 %"
		case "rate":
			want = "missed by 33 %"
		}
		if got := m.verdict(m.Ratio(c)); got != want {
			t.Errorf("%s, %s: %s, want %s", m.Workload, m.To, got, want)
		}
		if !strings.Contains(strings.Join(names(c.Workloads), " "), m.Workload) {
			t.Errorf("no workload %s", m.Workload)
		}
	}
}

func names(workloads []Workload) (names []string) {
	for _, w := range workloads {
		names = append(names, w.Name)
	}
	return names
}

const goBench = `goos: linux
BenchmarkPublish/1000-2         	    3	   169402 ns/op	    133333 cpu-ns/op	   20320 B/op	      38 allocs/op
BenchmarkStart/1000             	    5	 11713093 ns/op	  17383800 cpu-ns/op	 4190065 B/op	   33725 allocs/op
BenchmarkPoll/1000_containers_unchanged-16 	     100	  12345678 ns/op
BenchmarkPoll/1000_containers,_one_changes-16 	     100	  13000000 ns/op
BenchmarkReplace/1000_containers_unchanged-2 	   11792	     99450.5 ns/op	   0 B/op
PASS
`

func TestReport(t *testing.T) {
	dir := t.TempDir()
	report := &Report{Options: &Options{Rounds: 3}, Machine: thisMachine(), Contest: someContest(), Control: &ControlPlane{works()},
		Idle: []Idle{{Containers: 10, CPU: 0.1}, {Containers: 100, CPU: 0.4}}}
	for i := range report.Control.Works {
		report.Control.Works[i].read([]byte(goBench))
	}
	if err := report.Save(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(dir + "/RESULTS.md")
	if err != nil || !strings.Contains(string(page), "| rollcall | 40.0 | 2.00 | – | 1000 |") {
		t.Errorf("%v\n%s", err, page)
	}
	if !strings.Contains(string(page), "| 1000 | 12.3 ms | 13 ms | 99.5 µs | 84.7 µs | 11.7 ms |") {
		t.Errorf("the control plane is not in\n%s", page)
	}
	for _, plot := range []string{"cpu.svg", "latency.svg", "controlplane.svg", "idle.svg"} {
		file, err := os.Open(dir + "/" + plot)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		decoder := xml.NewDecoder(file)
		for err == nil {
			_, err = decoder.Token()
		}
		if err != io.EOF {
			t.Errorf("%s: %v", plot, err)
		}
	}
}

// What a process and its children take is seen, and they end with the test.
func TestProcess(t *testing.T) {
	var p *process
	passed := lab.Program(t.Context(), "process", io.Discard, func(lt lab.T) {
		p = startProcess(lt, t.TempDir(), "burner", exec.Command("sh", "-c", "(while :; do :; done) & echo started >&2; wait"))
		lab.Await(lt, "its child has used a processor", func() error {
			tree := p.tree()
			if len(tree) != 2 || cpuTime(tree) == 0 || memory(tree) == 0 {
				return io.ErrNoProgress
			}
			if busyTime() < cpuTime(tree) {
				t.Error("it takes more time than all do")
			}
			return nil
		})
	})
	if !passed {
		t.Error("it did not start")
	}
	if err := p.running(); err == nil {
		t.Error("it runs")
	}
}
