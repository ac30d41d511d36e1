import { get, Refusal, reason } from './api.js';
import { Question } from './question.js';

// Feed is the page's connection to rollcall: the stream of snapshots, and what is
// asked every now and then beside it. It hands each answer to one of its receivers
// and says when the connection is lost and when it is back.
//
// Receivers: snapshot, engine, traffic, events, containers; and connection, which is
// given null or {since, reason, refused}.

const beat = 2000; // between two questions for the traffic
const retry = 1000; // after a failure
const old = 10000; // is what was not asked for so long, though no change was told

export class Feed {
	constructor(receivers) {
		this.receivers = receivers;
		this.problems = new Map(); // what is wrong with the stream and with the questions
		this.lostAt = 0;
		this.events = new Question('/v1/events', 200, receivers.events);
		this.containers = new Question('/v1/containers', 800, receivers.containers); // may be thousands
	}

	start() {
		this.watch();
		this.poll();
		this.events.ask();
		this.containers.ask();
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
			this.changed();
		});
		this.stream.addEventListener('engine', (event) => {
			this.receivers.engine(JSON.parse(event.data));
			this.changed();
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
		let answers = null;
		try {
			answers = await Promise.all([get('/v1/traffic'), get('/v1/engine')]);
		} catch (error) {
			this.ill('questions', error);
		}
		setTimeout(() => this.poll(), answers ? beat : retry);
		if (!answers) return;
		this.well('questions');
		this.receivers.traffic(answers[0]);
		this.receivers.engine(answers[1]);
		this.events.later(old);
		this.containers.later(old);
	}

	changed() {
		this.events.soon();
		this.containers.soon();
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
