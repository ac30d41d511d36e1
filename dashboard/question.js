import { get } from './api.js';

// Question asks rollcall for one thing after it may have changed: soon, however
// often that happens not more than once in each pause, and never twice at a time.
export class Question {
	constructor(path, pause, receive) {
		this.path = path;
		this.pause = pause; // milliseconds
		this.receive = receive;
		this.answeredAt = 0;
		this.due = false;
		this.asking = false;
	}

	soon() {
		this.due = true;
		if (this.asking) return;
		this.asking = true;
		setTimeout(() => this.ask(), this.pause);
	}

	// later asks if the last answer is older than so many milliseconds.
	later(age) {
		if (performance.now() - this.answeredAt > age) this.soon();
	}

	async ask() {
		this.asking = true;
		this.due = false;
		let answer = null;
		try {
			answer = await get(this.path);
			this.answeredAt = performance.now();
		} catch {
			// The feed notices the same with its own questions, and asks again later.
		}
		this.asking = false;
		if (this.due) this.soon();
		if (answer) this.receive(answer);
	}
}
