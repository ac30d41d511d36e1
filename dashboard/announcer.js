import { say } from './element.js';
import * as format from './format.js';
import { key } from './traffic.js';

const pause = 1000; // ms, in which changes are gathered
const few = 3; // changes that are told one by one

// Announcer tells screen readers what changes, politely and not each of a crowd.
export class Announcer {
	constructor() {
		this.element = document.getElementById('announcer');
		this.known = null; // state and name by key; null before the first snapshot
		this.changes = [];
	}

	// update takes the services of a snapshot.
	update(services) {
		const known = new Map();
		for (const backend of services.flatMap((service) => service.backends)) {
			const was = this.known?.get(key(backend));
			if (this.known && was?.state !== backend.state) this.add(backend.container, backend.state);
			known.set(key(backend), backend);
		}
		for (const [name, backend] of this.known ?? []) {
			if (!known.has(name)) this.add(backend.container, 'gone');
		}
		this.known = known;
	}

	// tell tells a sentence.
	tell(sentence) {
		say(this.element, sentence);
	}

	add(container, state) {
		this.changes.push({ container, state });
		this.timer ??= setTimeout(() => {
			this.timer = undefined;
			this.tell(this.summary());
			this.changes = [];
		}, pause);
	}

	summary() {
		if (this.changes.length <= few) return this.changes.map(({ container, state }) => `${container} is ${state}.`).join(' ');
		const counts = new Map();
		for (const { state } of this.changes) counts.set(state, (counts.get(state) ?? 0) + 1);
		const parts = [...counts].map(([state, n]) => `${format.count(n)} ${state}`);
		return `${format.plural(this.changes.length, 'change')}: ${parts.join(', ')}.`;
	}
}
