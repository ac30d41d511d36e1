import { say, show } from './element.js';
import * as format from './format.js';

const brief = 1500; // ms; what is back by then was not worth a word

// Connection shows that rollcall itself can't be reached, and that all below is old.
export class Connection {
	constructor() {
		this.banner = document.getElementById('connection-banner');
		this.alert = document.getElementById('connection-alert');
		this.more = document.getElementById('connection-more');
		setInterval(() => this.tick(), 1000);
	}

	// update takes null, or what is wrong.
	update(problem) {
		this.problem = problem;
		if (problem) setTimeout(() => this.tick(), brief);
		this.tick();
	}

	tick() {
		const lost = this.problem && Date.now() - this.problem.since >= brief;
		show(this.banner, Boolean(lost));
		document.body.classList.toggle('stale', Boolean(lost));
		if (!lost) {
			say(this.alert, '');
			return;
		}
		const { since, reason, refused } = this.problem;
		say(this.alert, refused ? 'rollcall wants you to log in again: load this page anew' : 'The connection to rollcall is lost');
		say(this.more, `${reason}. What you see is of ${format.clock(since)}; trying again for ${format.span((Date.now() - since) / 1000)}.`);
	}
}
