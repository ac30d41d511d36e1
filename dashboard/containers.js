import { make, say, show, arrange } from './element.js';
import * as format from './format.js';

const few = 8; // that are shown at first

// Containers shows what the engine lists and rollcall does not use, with the reason
// and the way out; and those that it uses with a warning.
export class Containers {
	constructor(why) {
		this.unused = new ContainerList('container-list', 'containers-more', 'containers-count', why);
		this.warned = new ContainerList('warning-list', 'warnings-more', 'warnings-count', why);
		this.blank = document.getElementById('containers-blank');
		this.warnings = document.getElementById('warnings');
	}

	// update takes an answer of /v1/containers.
	update(containers) {
		const unused = containers.filter((container) => !container.used);
		const warned = containers.filter((container) => container.used && container.warnings.length > 0);
		this.unused.update(unused);
		this.warned.update(warned);
		show(this.blank, unused.length === 0);
		say(this.blank, containers.length === 0 ? 'The engine lists no container.' : 'All containers of the engine are used.');
		show(this.warnings, warned.length > 0);
	}
}

class ContainerList {
	constructor(list, more, count, why) {
		this.why = why;
		this.list = document.getElementById(list);
		this.more = document.getElementById(more);
		this.count = document.getElementById(count);
		this.items = new Map(); // by id, of those that are shown
		this.containers = [];
		this.all = false;
		this.more.addEventListener('click', () => {
			this.all = !this.all;
			this.draw();
		});
	}

	update(containers) {
		this.containers = containers;
		this.draw();
	}

	draw() {
		const total = this.containers.length;
		const items = new Map();
		for (const container of this.all ? this.containers : this.containers.slice(0, few)) {
			const said = JSON.stringify(container);
			let item = this.items.get(container.id);
			if (item?.said !== said) item = { said, element: this.item(container) };
			items.set(container.id, item);
		}
		for (const [id, item] of this.items) {
			if (items.get(id) !== item) item.element.remove();
		}
		this.items = items;
		arrange(this.list, [...items.values()].map((item) => item.element));
		say(this.count, total > 0 ? format.count(total) : '');
		show(this.more, total > few);
		say(this.more, this.all ? 'Show fewer' : `Show all ${format.count(total)}`);
	}

	item(container) {
		const ask = make('button', { type: 'button', class: 'button small plain', 'aria-label': `Why: ${container.name}` }, 'Why');
		ask.addEventListener('click', () => this.why(container.name));
		const lines = [];
		if (!container.used) lines.push(make('p', { class: 'container-reason' }, container.reason.replace(/^not used: /, '')));
		for (const warning of container.warnings) lines.push(make('p', { class: 'container-warning' }, warning));
		if (container.advice && !container.warnings.includes(container.advice)) {
			lines.push(make('p', { class: 'advice' }, make('span', { class: 'advice-word' }, 'Fix '), container.advice));
		}
		return make('li', { 'data-container': container.id },
			make('div', { class: 'container-head' },
				make('span', { class: 'name' }, container.name), make('span', { class: 'id', title: container.id }, format.short(container.id)), ask),
			...lines);
	}
}
