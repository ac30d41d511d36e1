import { make, say, mark, show, arrange, arrive, leave } from './element.js';
import * as format from './format.js';
import { ServiceCard } from './service.js';
import { states, tallied, trouble } from './tally.js';

const few = 60; // backends; if there are more, services begin folded

// By name, then by what a person chose. Rows are compared like their services.
const byName = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const down = (a, b) => (b ?? -1) - (a ?? -1);

// Services is the list of services, with its filter and its order.
export class Services {
	constructor(traffic, acts) {
		this.traffic = traffic;
		this.acts = { ...acts, order: () => this.order() };
		this.cards = new Map(); // by name
		this.unfoldsAll = null; // null: not decided before there are any
		this.shownStates = new Set(); // empty: all
		this.list = document.getElementById('service-list');
		this.tools = document.getElementById('tools');
		this.filter = document.getElementById('filter');
		this.sort = document.getElementById('sort');
		this.unfold = document.getElementById('unfold');
		this.totals = document.getElementById('totals');
		this.seen = new IntersectionObserver((entries) => this.see(entries), { rootMargin: '300px' });
		this.byElement = new WeakMap();
		this.makeStates(document.getElementById('states'));
		this.tools.addEventListener('submit', (event) => event.preventDefault());
		this.filter.addEventListener('input', () => this.select());
		this.sort.addEventListener('change', () => this.arrange());
		this.unfold.addEventListener('click', () => this.unfoldAll(!this.unfoldsAll));
		document.getElementById('clear').addEventListener('click', () => this.clear());
	}

	makeStates(parent) {
		this.stateButtons = new Map();
		for (const state of states) {
			const number = make('span', { class: 'state-count' });
			const button = make('button', { type: 'button', class: 'state-toggle', 'aria-pressed': 'false', 'data-state': state },
				make('span', { class: 'dot', 'aria-hidden': 'true' }), number, make('span', {}, state));
			button.addEventListener('click', () => {
				if (!this.shownStates.delete(state)) this.shownStates.add(state);
				mark(button, 'aria-pressed', String(this.shownStates.has(state)));
				this.select();
			});
			this.stateButtons.set(state, { button, number });
			parent.append(button);
		}
	}

	// update takes the services of a snapshot.
	update(services) {
		const cards = new Map();
		for (const service of services) {
			let card = this.cards.get(service.name);
			if (card) card.update(service);
			else card = this.add(service);
			cards.set(service.name, card);
		}
		for (const [name, card] of this.cards) {
			if (cards.has(name)) continue;
			this.seen.unobserve(card.element);
			leave(card.element);
		}
		this.cards = cards;
		this.filled = true;
		this.sum(services);
		this.arrangeCards();
		this.select();
	}

	add(service) {
		const card = new ServiceCard(service, this.acts, this.traffic);
		this.byElement.set(card.element, card);
		this.seen.observe(card.element);
		if (this.filled) arrive(card.element);
		return card;
	}

	sum(services) {
		const backends = services.flatMap((service) => service.backends);
		const counts = tallied(backends);
		say(this.totals, `${format.plural(services.length, 'service')}, ${format.plural(backends.length, 'backend')}`);
		document.title = counts.unhealthy > 0 ? `${counts.unhealthy} unhealthy – rollcall` : 'rollcall';
		for (const [state, { button, number }] of this.stateButtons) {
			say(number, format.count(counts[state]));
			mark(button, 'data-none', String(counts[state] === 0));
		}
		if (this.unfoldsAll === null && services.length > 0) this.setUnfoldsAll(backends.length <= few);
		const any = services.length > 0;
		show(document.getElementById('loading'), false);
		show(document.getElementById('empty'), !any);
		show(document.getElementById('footnote'), any);
		show(this.list, any);
		show(this.tools, any);
	}

	setUnfoldsAll(unfolds) {
		this.unfoldsAll = unfolds;
		mark(this.unfold, 'aria-pressed', String(unfolds));
		say(this.unfold, unfolds ? 'Fold all' : 'Unfold all');
	}

	unfoldAll(unfolds) {
		this.setUnfoldsAll(unfolds);
		for (const card of this.cards.values()) card.choice = null;
		this.select();
	}

	clear() {
		this.filter.value = '';
		this.shownStates.clear();
		for (const { button } of this.stateButtons.values()) mark(button, 'aria-pressed', 'false');
		this.select();
		this.filter.focus();
	}

	// select shows what the filter selects. What a filter finds is unfolded.
	select() {
		const terms = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
		const filters = terms.length > 0 || this.shownStates.size > 0;
		const selects = filters ? (backend, service) => {
			if (this.shownStates.size > 0 && !this.shownStates.has(backend.state)) return false;
			const text = `${service} ${backend.container} ${backend.container_id} ${backend.address} ${backend.state}`.toLowerCase();
			return terms.every((term) => text.includes(term));
		} : null;
		let any = this.cards.size === 0;
		for (const card of this.cards.values()) {
			const selected = card.select(selects);
			any ||= selected;
			show(card.element, selected);
			card.fold(card.choice ?? (filters ? selected : this.unfoldsAll));
		}
		show(document.getElementById('no-match'), !any);
	}

	// order returns how services and rows compare.
	order() {
		const value = {
			name: () => 0,
			rate: (figures) => figures.rate,
			errors: (figures) => figures.errors,
			latency: (figures) => figures.p99,
		}[this.sort.value];
		const bySum = value
			? (a, b) => down(value(this.traffic.ofService(a.service.name)), value(this.traffic.ofService(b.service.name)))
			: (a, b) => b.trouble - a.trouble;
		const byRow = value
			? (a, b) => down(value(this.traffic.of(a.backend)), value(this.traffic.of(b.backend)))
			: (a, b) => trouble[b.backend.state] - trouble[a.backend.state];
		return {
			cards: (a, b) => bySum(a, b) || byName(a.service.name, b.service.name),
			rows: (a, b) => byRow(a, b) || byName(a.backend.container, b.backend.container) || byName(a.backend.container_id, b.backend.container_id),
		};
	}

	arrangeCards() {
		arrange(this.list, [...this.cards.values()].sort(this.order().cards).map((card) => card.element));
	}

	arrange() {
		this.arrangeCards();
		for (const card of this.cards.values()) card.arrange();
	}

	// measure shows the figures that have just changed. Nothing moves from under a
	// pointer or away from the focus only because a figure has changed.
	measure() {
		for (const card of this.cards.values()) {
			card.due = true;
			card.measure();
		}
		if (['rate', 'errors', 'latency'].includes(this.sort.value) && !this.list.matches(':hover, :focus-within')) this.arrange();
	}

	see(entries) {
		for (const entry of entries) {
			const card = this.byElement.get(entry.target);
			card.near = entry.isIntersecting;
			card.measure();
		}
	}
}
