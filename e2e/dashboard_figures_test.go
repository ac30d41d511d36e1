package e2e

import "testing"

// The page makes its figures itself, of counters; here of counters that are known.
func TestDashboardFigures(t *testing.T) {
	begin(t)
	page := openTab(t, newScene(t).rollcall.Admin, 1440, 900)
	wrong := ask[[]string](page, `(async () => {
		const { Traffic } = await import('/dashboard/traffic.js');
		const wrong = [];
		const check = (what, got, want) => { if (!(Math.abs(got - want) < 1e-9) && got !== want) wrong.push(what + ' is ' + got + ', want ' + want); };
		const backend = (container_id) => ({ service: 'web', container_id });
		const counters = (id, requests, failures, errors, buckets) => ({ ...backend(id), in_flight: 2, requests, failures, errors, buckets });
		const traffic = new Traffic();
		const at = (seconds, ...backends) => traffic.record({ time: new Date(seconds * 1000).toISOString(), bounds: [0.01, 0.1, 1], backends });

		at(0, counters('a', 1000, 5, 7, [900, 50, 50, 0]), counters('b', 0, 0, 0, [0, 0, 0, 0]));
		check('a rate after one answer', traffic.of(backend('a')).rate, null);
		check('an error share after one answer', traffic.of(backend('a')).errors, null);
		at(2, counters('a', 1100, 7, 10, [950, 98, 52, 0]), counters('b', 0, 0, 0, [0, 0, 0, 0]));
		const a = traffic.of(backend('a'));
		check('the rate', a.rate, 50);
		check('the error share', a.errors, 0.05);
		check('the median', a.p50, 0.01);
		check('p99', a.p99, 0.1 + 0.9 * (1 / 2));
		check('in flight', a.inFlight, 2);
		check('the rate of an idle one', traffic.of(backend('b')).rate, 0);
		check('the error share of an idle one', traffic.of(backend('b')).errors, null);
		check('the median of an idle one', traffic.of(backend('b')).p50, null);
		check('the rate of the service', traffic.ofService('web').rate, 50);
		check('in flight of the service', traffic.ofService('web').inFlight, 4);

		// Rates are of the last 10 s, the others of the last minute.
		for (let s = 4; s <= 30; s += 2) at(s, counters('a', 1100, 7, 10, [950, 98, 52, 0]));
		check('the rate after a pause', traffic.of(backend('a')).rate, 0);
		check('the error share after a pause', traffic.of(backend('a')).errors, 0.05);
		check('the rate of one that is gone', traffic.of(backend('b')).rate, null);
		for (let s = 32; s <= 70; s += 2) at(s, counters('a', 1100, 7, 10, [950, 98, 52, 0]));
		check('the error share after a long pause', traffic.of(backend('a')).errors, null);
		check('the median after a long pause', traffic.of(backend('a')).p50, null);
		check('the points of the line', traffic.of(backend('a')).past.length, 35);

		// Answers above all bounds; counters that begin anew.
		at(72, counters('a', 1110, 7, 10, [950, 98, 52, 10]));
		check('a median above all bounds', traffic.of(backend('a')).p50, Infinity);
		at(74, counters('a', 4, 0, 0, [4, 0, 0, 0]));
		check('a rate after counters began anew', traffic.of(backend('a')).rate, null);
		at(76, counters('a', 8, 0, 0, [8, 0, 0, 0]));
		check('the rate then', traffic.of(backend('a')).rate, 2);
		for (let s = 78; s <= 700; s += 2) at(s, counters('a', 8, 0, 0, [8, 0, 0, 0]));
		if (traffic.of(backend('a')).past.length > 152) wrong.push('a line of five minutes has ' + traffic.of(backend('a')).past.length + ' points');
		return wrong;
	})()`)
	for _, what := range wrong {
		t.Error(what)
	}
}
