import { make, say } from './element.js';
import * as format from './format.js';
import { post, reason } from './api.js';
import { drainedByHand } from './backend.js';

// DrainDialog asks before it takes a container out of rotation, or puts it back.
export class DrainDialog {
	// services returns those of the last snapshot; done is told what has been done.
	constructor(services, done) {
		this.services = services;
		this.done = done;
		this.dialog = document.getElementById('drain');
		this.title = document.getElementById('drain-title');
		this.text = document.getElementById('drain-text');
		this.error = document.getElementById('drain-error');
		this.confirm = document.getElementById('drain-confirm');
		this.cancel = document.getElementById('drain-cancel');
		this.cancel.addEventListener('click', () => this.dialog.close());
		document.getElementById('drain-form').addEventListener('submit', (event) => {
			event.preventDefault();
			this.act();
		});
	}

	open(backend) {
		const back = drainedByHand(backend);
		this.backend = backend;
		this.verb = back ? 'undrain' : 'drain';
		say(this.title, `${back ? 'Put back' : 'Drain'} ${backend.container}?`);
		say(this.confirm, back ? 'Put back' : 'Drain');
		say(this.error, '');
		this.text.replaceChildren(...(back ? this.onUndrain() : this.onDrain(backend)).map((text) => make('p', {}, text)));
		this.busy(false);
		this.dialog.showModal();
		this.cancel.focus();
	}

	onUndrain() {
		return ['It gets requests again as soon as a connection to it succeeds.'];
	}

	onDrain(backend) {
		const mine = this.services().filter((service) => service.backends.some((b) => b.container_id === backend.container_id));
		const texts = [`It gets no new requests; those in flight may finish. It stays out until you put it back.`];
		if (mine.length > 1) texts.push(`It serves ${mine.map((service) => service.name).join(' and ')}, and leaves all of them.`);
		for (const service of mine) {
			const others = service.backends.filter((b) => b.state === 'healthy' && b.container_id !== backend.container_id).length;
			texts.push(others > 0
				? `${format.plural(others, 'healthy backend')} of ${service.name} remain${others === 1 ? 's' : ''}.`
				: `No healthy backend of ${service.name} remains: its requests will wait, and then fail.`);
		}
		return texts;
	}

	async act() {
		this.busy(true);
		try {
			await post(`/v1/backends/${encodeURIComponent(this.backend.container_id)}/${this.verb}`);
			this.dialog.close();
			this.done(this.backend, this.verb);
		} catch (error) {
			say(this.error, `Nothing was changed: ${reason(error)}`);
		} finally {
			this.busy(false);
		}
	}

	busy(busy) {
		this.confirm.disabled = busy;
	}
}
