import { make, say, mark, show, arrange, arrive, leave } from './element.js';
import * as format from './format.js';
import { BackendRow, alike, columns } from './backend.js';
import { Sparkline } from './sparkline.js';
import { Tally, tallied, trouble } from './tally.js';
import { key } from './traffic.js';

let serial = 0;

// ServiceCard is a service: a head that sums it up, and, unfolded, its backends. The
// rows are made when it is unfolded and dropped when it is folded, so that thousands
// of backends cost what is to be seen of them.
export class ServiceCard {
	constructor(service, acts, traffic) {
		this.acts = acts;
		this.traffic = traffic;
		this.rows = new Map(); // by key
		this.near = false; // to be seen, or nearly
		this.due = true; // figures have changed since they were shown
		this.unfolded = false;
		this.choice = null; // what a person chose: true, false, or null
		const id = `backends-${++serial}`;
		this.name = make('span', { class: 'service-name' });
		this.button = make('button', { type: 'button', class: 'fold', 'aria-expanded': 'false', 'aria-controls': id }, this.name);
		this.button.addEventListener('click', () => {
			this.choice = !this.unfolded;
			this.fold(this.choice);
		});
		this.tally = new Tally();
		this.health = make('span', { class: 'health-word' });
		this.manner = make('span', { class: 'manner' });
		this.routes = make('ul', { class: 'routes', 'aria-label': 'Routes' });
		this.figures = ['req/s', 'errors', 'p99'].map((title) => {
			const value = make('dd');
			return { value, element: make('div', { class: 'figure' }, make('dt', {}, title), value) };
		});
		this.sparkline = new Sparkline();
		this.body = make('tbody', { role: 'rowgroup' });
		this.table = make('table', { role: 'table', id: id },
			make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...columns.map(([kind, title, meaning]) =>
				make('th', { role: 'columnheader', scope: 'col', class: kind, title: meaning }, title)))),
			this.body);
		show(this.table, false);
		this.element = make('article', { class: 'service' },
			make('div', { class: 'service-head' },
				make('div', { class: 'service-what' },
					make('h3', {}, this.button),
					make('p', { class: 'health' }, this.tally.element, this.health, this.manner)),
				this.routes,
				make('div', { class: 'service-figures' },
					make('dl', { class: 'figures' }, ...this.figures.map((figure) => figure.element)),
					this.sparkline.element)),
			this.table);
		this.update(service);
	}

	// update takes what a snapshot says. Of many services, most are as they were.
	update(service) {
		const before = this.service;
		this.service = service;
		if (before && before.backends.length === service.backends.length
			&& before.backends.every((backend, i) => alike(backend, service.backends[i]))
			&& describe(before) === describe(service)) return;
		this.counts = tallied(service.backends);
		this.trouble = service.backends.reduce((worst, backend) => Math.max(worst, trouble[backend.state]), 0)
			+ (service.healthy === 0 ? 10 : 0);
		this.text = [service.name, ...service.routes.map((route) => route.text)].join(' ').toLowerCase();
		say(this.name, service.name);
		mark(this.element, 'aria-label', service.name);
		mark(this.table, 'aria-label', `Backends of ${service.name}`);
		this.tally.update(this.counts);
		say(this.health, `${format.count(service.healthy)} of ${format.count(service.backends.length)} healthy`);
		mark(this.element, 'data-trouble', service.healthy === 0 ? 'down' : this.trouble > trouble.starting ? 'some' : 'none');
		say(this.manner, [service.balance, service.sticky && `sticky by ${service.sticky}`].filter(Boolean).join(' · '));
		this.updateRoutes(service.routes);
		if (this.unfolded) this.updateRows();
		this.due = true;
	}

	updateRoutes(routes) {
		const said = JSON.stringify(routes);
		if (said === this.saidRoutes) return;
		this.saidRoutes = said;
		if (routes.length === 0) {
			this.routes.replaceChildren(make('li', { class: 'quiet' }, 'no route: others claim all of its hosts'));
			return;
		}
		this.routes.replaceChildren(...routes.map((route) => {
			const notes = [route.strip && 'prefix removed', route.priority !== 0 && `priority ${route.priority}`].filter(Boolean);
			return make('li', {}, make('span', { class: 'route' }, route.text), ...(notes.length ? [make('span', { class: 'quiet' }, ` ${notes.join(', ')}`)] : []));
		}));
	}

	updateRows() {
		const rows = new Map();
		for (const backend of this.service.backends) {
			const name = key(backend);
			let row = this.rows.get(name);
			if (row) {
				row.update(backend);
			} else {
				row = new BackendRow(backend, this.acts);
				if (this.filled) arrive(row.element);
			}
			rows.set(name, row);
		}
		for (const [name, row] of this.rows) {
			if (!rows.has(name)) leave(row.element);
		}
		this.rows = rows;
		this.filled = true;
		this.arrange();
		this.select(this.selects);
	}

	// arrange brings its rows into the chosen order.
	arrange() {
		const order = this.acts.order();
		arrange(this.body, [...this.rows.values()].sort((a, b) => order.rows(a, b)).map((row) => row.element));
	}

	// select shows the backends that a filter selects, and says whether there are any.
	select(selects) {
		this.selects = selects;
		for (const row of this.rows.values()) show(row.element, !selects || selects(row.backend, this.text));
		return !selects || this.service.backends.some((backend) => selects(backend, this.text));
	}

	// fold folds or unfolds the backends.
	fold(unfolded) {
		if (unfolded === this.unfolded) return;
		this.unfolded = unfolded;
		mark(this.button, 'aria-expanded', String(unfolded));
		if (unfolded) {
			this.updateRows();
		} else {
			this.rows.clear();
			this.body.replaceChildren();
			this.filled = false;
		}
		show(this.table, unfolded);
		this.due = true;
		this.measure();
	}

	// measure shows its figures, unless nobody could see them: then they are due.
	measure() {
		if (!this.near || !this.due) return;
		this.due = false;
		const figures = this.traffic.ofService(this.service.name);
		const last = this.traffic.bounds.at(-1);
		say(this.figures[0].value, format.rate(figures.rate));
		say(this.figures[1].value, format.share(figures.errors));
		mark(this.figures[1].element, 'data-bad', String(figures.errors >= 0.01));
		say(this.figures[2].value, format.latency(figures.p99, last));
		this.sparkline.update(figures.past, this.traffic.time);
		for (const row of this.rows.values()) {
			row.measure(this.traffic.of(row.backend), this.traffic);
			row.age();
		}
	}
}

// describe is what a snapshot says of a service, apart from its backends.
function describe({ name, routes, balance, sticky, healthy }) {
	return JSON.stringify([name, routes, balance, sticky, healthy]);
}
