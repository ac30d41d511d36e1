import { make, say, mark, show } from './element.js';
import * as format from './format.js';
import { Sparkline } from './sparkline.js';

// The columns of a service's table: class, title, and what the title is short for.
export const columns = [
	['state', 'State'],
	['container', 'Container'],
	['address', 'Address'],
	['number', 'In flight'],
	['number', 'Req/s', 'requests per second'],
	['number', 'Errors', 'share of requests that failed'],
	['number', 'p50', 'half of the answers are faster'],
	['number', 'p99', '99 of 100 answers are faster'],
	['line', 'Lately', 'requests per second'],
	['actions', 'Actions'],
];

// drainedByHand tells a backend that can be put back from one that is being stopped.
export function drainedByHand(backend) {
	return backend.state === 'draining' && backend.reason.includes('by hand');
}

// alike tells whether two snapshots say the same of a backend. Its counters are not
// part of that: figures come from the traffic.
export function alike(a, b) {
	return a.container_id === b.container_id && a.state === b.state && a.since === b.since && a.reason === b.reason
		&& a.address === b.address && a.container === b.container;
}

// BackendRow is a backend as one row of its service's table.
export class BackendRow {
	// acts has drain(backend) and why(target).
	constructor(backend, acts) {
		this.acts = acts;
		this.dot = make('span', { class: 'dot', 'aria-hidden': 'true' });
		this.state = make('span', { class: 'state-word' });
		this.since = make('span', { class: 'quiet' });
		this.name = make('span', { class: 'name' });
		this.id = make('span', { class: 'id' });
		this.reason = make('span', { class: 'reason' });
		this.sparkline = new Sparkline();
		this.drain = make('button', { type: 'button', class: 'button small' });
		this.drain.addEventListener('click', () => acts.drain(this.backend));
		this.why = make('button', { type: 'button', class: 'button small plain' }, 'Why');
		this.why.addEventListener('click', () => acts.why(this.backend.container));
		const contents = [
			[make('span', { class: 'state' }, this.dot, this.state), this.since],
			[this.name, this.id, this.reason],
			[], [], [], [], [], [],
			[this.sparkline.element],
			[this.drain, this.why],
		];
		this.cells = contents.map((content, i) =>
			make('td', { role: 'cell', class: columns[i][0], 'data-title': columns[i][1] }, ...content));
		this.element = make('tr', { role: 'row', class: 'backend' }, ...this.cells);
		this.update(backend);
	}

	// update takes what a snapshot says.
	update(backend) {
		const same = this.backend && alike(this.backend, backend);
		this.backend = backend;
		if (same) return;
		mark(this.element, 'data-state', backend.state);
		mark(this.element, 'data-container', backend.container_id);
		say(this.state, backend.state);
		say(this.name, backend.container);
		say(this.id, format.short(backend.container_id));
		mark(this.id, 'title', backend.container_id);
		const fine = backend.state === 'healthy';
		say(this.reason, fine ? '' : backend.reason);
		say(this.cells[2], backend.address || 'none');
		mark(this.state, 'title', `${backend.reason}, since ${format.moment(new Date(backend.since))}`);
		const back = drainedByHand(backend);
		show(this.drain, back || !['draining', 'stopped'].includes(backend.state));
		say(this.drain, back ? 'Put back' : 'Drain');
		mark(this.drain, 'aria-label', `${back ? 'Put back' : 'Drain'} ${backend.container}`);
		mark(this.why, 'aria-label', `Why is ${backend.container} ${backend.state}?`);
		this.age();
	}

	// age writes for how long it has been in its state.
	age() {
		const seconds = (Date.now() - Date.parse(this.backend.since)) / 1000;
		say(this.since, `for ${format.span(seconds)}`);
	}

	// measure takes its figures.
	measure(figures, traffic) {
		const last = traffic.bounds.at(-1);
		say(this.cells[3], format.count(figures.inFlight));
		say(this.cells[4], format.rate(figures.rate));
		say(this.cells[5], format.share(figures.errors));
		mark(this.cells[5], 'data-bad', String(figures.errors >= 0.01));
		say(this.cells[6], format.latency(figures.p50, last));
		say(this.cells[7], format.latency(figures.p99, last));
		this.sparkline.update(figures.past, traffic.time);
	}
}
