import { make } from './element.js';
import { get, reason } from './api.js';

// Why explains a URL, a host or a container, as `rollcall why` does.
export class Why {
	constructor() {
		this.form = document.getElementById('why-form');
		this.target = document.getElementById('why-target');
		this.answer = document.getElementById('why-answer');
		this.asked = 0;
		this.form.addEventListener('submit', (event) => {
			event.preventDefault();
			this.ask(this.target.value.trim());
		});
	}

	// askFor fills the form in and asks, and brings the answer into view.
	askFor(target) {
		this.target.value = target;
		this.target.focus();
		this.form.scrollIntoView({ block: 'nearest' });
		this.ask(target);
	}

	async ask(target) {
		if (!target) return;
		const turn = ++this.asked;
		this.answer.setAttribute('aria-busy', 'true');
		let shown;
		try {
			shown = explained(await get(`/v1/why?target=${encodeURIComponent(target)}`));
		} catch (error) {
			shown = [make('p', { class: 'verdict', 'data-good': 'false' }, `No answer: ${reason(error)}`)];
		}
		if (turn !== this.asked) return; // a later question is under way
		this.answer.replaceChildren(...shown);
		this.answer.setAttribute('aria-busy', 'false');
	}
}

function explained(x) {
	const shown = [make('p', { class: 'verdict', 'data-good': String(x.good) },
		make('span', { class: 'verdict-word' }, x.good ? 'Yes' : 'No'), ` ${x.verdict}`)];
	if (x.advice) shown.push(make('p', { class: 'advice' }, make('span', { class: 'advice-word' }, 'Fix '), x.advice));
	const facts = [['Service', x.service], ['Route', x.route], ['Backend', x.backend]].filter(([, value]) => value);
	if (facts.length > 0) {
		shown.push(make('dl', { class: 'facts' }, ...facts.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value)))));
	}
	if (x.details.length > 0) {
		shown.push(make('ul', { class: 'details' }, ...x.details.map((detail) => make('li', {}, detail))));
	}
	return shown;
}
