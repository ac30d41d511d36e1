import { say, mark, show } from './element.js';
import * as format from './format.js';

const intervals = 3; // as old as this many polls may the last good one be

// Engine shows whether the engine answers, and how old the last good poll is.
export class Engine {
	constructor() {
		this.line = document.getElementById('engine');
		this.name = document.getElementById('engine-name');
		this.ageText = document.getElementById('engine-age');
		this.banner = document.getElementById('engine-banner');
		this.alert = document.getElementById('engine-alert');
		this.more = document.getElementById('engine-more');
		setInterval(() => this.tick(), 1000);
	}

	// update takes an answer of /v1/engine.
	update(engine) {
		this.engine = engine;
		this.at = performance.now(); // the two clocks need not agree
		this.tick();
	}

	// freeze stops the ages while nothing new can be known.
	freeze(frozen) {
		this.frozen = frozen;
		this.tick();
	}

	age() {
		return this.engine.age + (performance.now() - this.at) / 1000;
	}

	tick() {
		if (!this.engine || this.frozen) return;
		const asked = Boolean(this.engine.last_good_poll);
		const limit = intervals * this.engine.interval;
		const stale = !this.engine.good || (asked && this.age() > limit);
		mark(this.line, 'data-state', stale ? 'stale' : 'good');
		say(this.name, this.engine.engine);
		say(this.ageText, asked ? `polled ${format.span(this.age())} ago` : 'has not answered yet');
		show(this.banner, stale);
		if (!stale) {
			say(this.alert, '');
			return;
		}
		// The alert is read aloud each time it changes, so no age is in it.
		say(this.alert, asked ? `The engine at ${this.engine.engine} does not answer` : `The engine at ${this.engine.engine} has not answered yet`);
		say(this.more, [
			asked && `Last good poll ${format.span(this.age())} ago; requests go on to the backends of that one, and connections tell which of them died.`,
			this.engine.error,
		].filter(Boolean).join(' '));
	}
}
