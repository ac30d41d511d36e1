// Traffic makes figures of the counters that rollcall hands out: they only grow, so
// that a figure is the difference of two answers.

const minute = 60; // seconds that error share and latencies are of
const moment = 10; // seconds that rates are of
const past = 300; // seconds that lines are of

// Figures are what the page shows of one backend or of one service. null is not
// known yet.
export class Figures {
	rate = null; // requests per second
	errors = null; // share of the requests, 0 to 1
	p50 = null; // seconds; Infinity beyond the last bucket
	p99 = null;
	inFlight = 0;
	past = []; // {time, rate}, oldest first
}

export const key = (backend) => `${backend.service} ${backend.container_id}`;

export class Traffic {
	constructor() {
		this.time = 0; // of the last answer, seconds
		this.bounds = [];
		this.histories = new Map(); // by key
		this.services = new Map(); // Figures by name
	}

	// of returns a backend's figures.
	of(backend) {
		return this.histories.get(key(backend))?.figures ?? new Figures();
	}

	// ofService returns a service's figures: its backends' together.
	ofService(name) {
		return this.services.get(name) ?? new Figures();
	}

	// record takes an answer of /v1/traffic.
	record(answer) {
		const time = Date.parse(answer.time) / 1000;
		if (time <= this.time) this.histories.clear(); // another process, or a clock put back
		this.time = time;
		this.bounds = answer.bounds;
		const histories = new Map();
		const sums = new Map();
		for (const counters of answer.backends) {
			const name = key(counters);
			const history = this.histories.get(name) ?? new History();
			history.record(time, counters);
			histories.set(name, history);
			let sum = sums.get(counters.service);
			if (!sum) sums.set(counters.service, (sum = new Sum()));
			sum.add(history);
			history.figures = figuresOf(history.latest(moment), history.latest(minute), this.bounds, history);
		}
		this.histories = histories;
		const services = new Map();
		for (const [name, sum] of sums) {
			const before = this.services.get(name)?.past ?? [];
			sum.past = sum.moment ? keepPast(before, { time, rate: sum.step }, time) : before;
			services.set(name, figuresOf(sum.moment, sum.minute, this.bounds, sum));
		}
		this.services = services;
	}
}

// History is what one backend counted in the last minutes.
class History {
	samples = []; // of the last minute, oldest first
	past = [];
	inFlight = 0;
	step = 0; // requests per second since the sample before

	record(time, counters) {
		const last = this.samples.at(-1);
		if (last && counters.requests < last.requests) this.samples = []; // it counts anew
		const before = this.samples.at(-1);
		const bad = counters.failures + counters.errors;
		// Most backends are idle most of the time: theirs need not be kept twice.
		const buckets = before?.buckets.every((n, i) => n === counters.buckets[i]) ? before.buckets : counters.buckets;
		this.samples.push({ time, requests: counters.requests, bad, buckets });
		while (this.samples.length > 2 && this.samples[1].time <= time - minute) this.samples.shift();
		this.inFlight = counters.in_flight;
		if (!before) return;
		this.step = (counters.requests - before.requests) / (time - before.time);
		this.past = keepPast(this.past, { time, rate: this.step }, time);
	}

	// latest returns what was counted in the last seconds, null while there is but
	// one sample.
	latest(seconds) {
		const last = this.samples.at(-1);
		const first = this.samples.find((sample) => sample.time >= last.time - seconds - 0.5);
		if (first === last) return null;
		return {
			seconds: last.time - first.time,
			requests: last.requests - first.requests,
			bad: last.bad - first.bad,
			buckets: last.buckets === first.buckets ? null : last.buckets.map((n, i) => n - first.buckets[i]),
		};
	}
}

// Sum adds up the backends of a service.
class Sum {
	moment = null;
	minute = null;
	inFlight = 0;
	step = 0;

	add(history) {
		this.moment = plus(this.moment, history.latest(moment));
		this.minute = plus(this.minute, history.latest(minute));
		this.inFlight += history.inFlight;
		this.step += history.step;
	}
}

function plus(a, b) {
	if (!a || !b) return a ?? b;
	return {
		seconds: Math.max(a.seconds, b.seconds),
		requests: a.requests + b.requests,
		bad: a.bad + b.bad,
		buckets: a.buckets && b.buckets ? a.buckets.map((n, i) => n + b.buckets[i]) : (a.buckets ?? b.buckets),
	};
}

function keepPast(points, point, now) {
	const kept = points[0]?.time < now - past ? points.slice(1) : points;
	kept.push(point);
	return kept;
}

function figuresOf(lately, minute, bounds, { inFlight, past }) {
	const figures = new Figures();
	figures.inFlight = inFlight;
	figures.past = past;
	if (lately) figures.rate = lately.requests / lately.seconds;
	if (minute?.requests > 0) figures.errors = Math.min(1, minute.bad / minute.requests);
	if (minute?.buckets) {
		figures.p50 = quantile(bounds, minute.buckets, 0.5);
		figures.p99 = quantile(bounds, minute.buckets, 0.99);
	}
	return figures;
}

// quantile estimates a quantile of a histogram, by a straight line within the bucket
// that it is in. counts has one more than bounds: what is above all of them.
export function quantile(bounds, counts, q) {
	const total = counts.reduce((sum, n) => sum + n, 0);
	if (total === 0) return null;
	let rank = q * total;
	for (let i = 0; i < bounds.length; i++) {
		if (rank <= counts[i]) {
			const low = i === 0 ? 0 : bounds[i - 1];
			return low + (bounds[i] - low) * (rank / counts[i]);
		}
		rank -= counts[i];
	}
	return Infinity;
}
