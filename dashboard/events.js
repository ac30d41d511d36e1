import { make, say, show, arrive } from './element.js';
import * as format from './format.js';

const few = 12; // events that are shown at first

// Events is the time line, the latest first.
export class Events {
	constructor() {
		this.items = new Map(); // by id, oldest first
		this.all = false;
		this.list = document.getElementById('event-list');
		this.blank = document.getElementById('events-blank');
		this.more = document.getElementById('events-more');
		this.more.addEventListener('click', () => {
			this.all = !this.all;
			this.limit();
		});
	}

	// update takes the last events, oldest first.
	update(events) {
		const filled = this.items.size > 0;
		if (filled && events.length > 0 && events.at(-1).id < [...this.items.keys()].at(-1)) this.clear(); // another process
		const known = new Set(events.map((event) => event.id));
		for (const [id, item] of this.items) {
			if (known.has(id)) continue;
			item.remove();
			this.items.delete(id);
		}
		for (const event of events) {
			if (this.items.has(event.id)) continue;
			const item = this.item(event);
			this.items.set(event.id, item);
			this.list.prepend(item);
			if (filled) arrive(item);
		}
		this.limit();
	}

	clear() {
		this.items.clear();
		this.list.replaceChildren();
	}

	limit() {
		const total = this.items.size;
		[...this.items.values()].forEach((item, i) => show(item, this.all || i >= total - few));
		show(this.blank, total === 0);
		show(this.more, total > few);
		say(this.more, this.all ? 'Show fewer' : `Show all ${total}`);
	}

	item(event) {
		const date = new Date(event.time);
		const told = tell(event);
		const text = make('p', { class: 'event-text' });
		text.append(make('span', { class: 'name' }, told.subject), ' ', make('span', { class: 'event-word' }, told.words));
		if (event.service) text.append(make('span', { class: 'quiet' }, ` in ${event.service}`));
		return make('li', { class: 'event', 'data-state': told.state, 'data-kind': event.kind },
			make('span', { class: 'dot', 'aria-hidden': 'true' }),
			make('time', { datetime: event.time, title: format.moment(date) }, format.clock(date)),
			make('div', {}, text, ...(event.reason ? [make('p', { class: 'event-reason' }, event.reason)] : [])));
	}
}

// words for an event, by its kind; the others are states.
const words = {
	started: 'started',
	ready: 'is ready',
	ejected: 'is ejected',
	gone: 'is gone',
	'engine-lost': 'does not answer',
	'engine-back': 'answers',
};

// tell puts an event into words.
function tell(event) {
	const engine = event.kind.startsWith('engine');
	return {
		state: { 'engine-lost': 'unhealthy', 'engine-back': 'healthy', gone: 'stopped' }[event.kind] ?? event.state,
		subject: engine ? 'The engine' : event.container,
		words: words[event.kind] ?? `is ${event.state}`,
	};
}
