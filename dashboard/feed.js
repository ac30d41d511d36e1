import { get, Refusal, reason } from './api.js';

// Feed is the page's connection to rollcall: the stream of snapshots, and what is
// asked every now and then beside it. It hands each answer to one of its receivers
// and says when the connection is lost and when it is back.
//
// Receivers: snapshot, engine, traffic, events, containers; and connection, which is
// given null or {since, reason, refused}.

const beat = 2000; // between two questions for the traffic
const retry = 1000; // after a failure
const roll = 10000; // between two questions for the containers, if nothing has changed

export class Feed {
	constructor(receivers) {
		this.receivers = receivers;
		this.problems = new Map(); // what is wrong with the stream and with the questions
		this.lostAt = 0;
		this.containersAt = 0;
		this.changed = false; // events and containers may be others than those shown
		this.asking = false;
	}

	start() {
		this.watch();
		this.poll();
		this.refresh();
		// A browser opens six connections to one address at most, in all its tabs: one
		// that nobody looks at holds none.
		document.addEventListener('visibilitychange', () => {
			if (document.hidden) this.unwatch();
			else if (!this.stream) this.watch();
		});
	}

	watch() {
		clearTimeout(this.again);
		this.stream = new EventSource('/v1/watch');
		this.stream.addEventListener('open', () => this.well('stream'));
		this.stream.addEventListener('snapshot', (event) => {
			this.receivers.snapshot(JSON.parse(event.data));
			this.refreshSoon();
		});
		this.stream.addEventListener('engine', (event) => {
			this.receivers.engine(JSON.parse(event.data));
			this.refreshSoon();
		});
		this.stream.addEventListener('error', () => {
			// The browser's own way to try again gives up for good at an error status.
			this.unwatch();
			this.ill('stream', new Error('the stream broke off'));
			this.again = setTimeout(() => this.watch(), retry);
		});
	}

	unwatch() {
		clearTimeout(this.again);
		this.stream?.close();
		this.stream = null;
	}

	// poll asks for what changes all the time. The engine's age is part of that.
	async poll() {
		let pause = beat;
		try {
			const [traffic, engine] = await Promise.all([get('/v1/traffic'), get('/v1/engine')]);
			this.well('questions');
			this.receivers.traffic(traffic);
			this.receivers.engine(engine);
			if (performance.now() - this.containersAt > roll) this.refreshSoon();
		} catch (error) {
			this.ill('questions', error);
			pause = retry;
		}
		setTimeout(() => this.poll(), pause);
	}

	// refreshSoon asks for events and containers, however often it is called not more
	// than once a quarter of a second and never twice at a time.
	refreshSoon() {
		this.changed = true;
		if (this.asking) return;
		this.asking = true;
		setTimeout(() => this.refresh(), 250);
	}

	async refresh() {
		this.asking = true;
		this.changed = false;
		try {
			const [events, containers] = await Promise.all([get('/v1/events'), get('/v1/containers')]);
			this.containersAt = performance.now();
			this.receivers.events(events);
			this.receivers.containers(containers);
		} catch (error) {
			// poll notices the same, and its success leads back here.
			if (!(error instanceof Refusal) && error.name !== 'TimeoutError' && !(error instanceof TypeError)) throw error;
		} finally {
			this.asking = false;
			if (this.changed) this.refreshSoon();
		}
	}

	well(part) {
		if (!this.problems.delete(part) || this.problems.size > 0) return;
		this.lostAt = 0;
		this.receivers.connection(null);
	}

	ill(part, error) {
		this.problems.set(part, error);
		this.lostAt ||= Date.now();
		const worst = this.problems.get('questions') ?? error;
		this.receivers.connection({
			since: new Date(this.lostAt),
			reason: reason(worst),
			refused: worst instanceof Refusal && (worst.status === 401 || worst.status === 403),
		});
	}
}
