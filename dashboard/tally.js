import { draw, mark } from './element.js';

// The states, the best first, and how bad each is when services are sorted by
// trouble.
export const states = ['healthy', 'starting', 'unhealthy', 'draining', 'paused', 'stopped'];
export const trouble = { unhealthy: 5, starting: 4, paused: 3, draining: 2, stopped: 1, healthy: 0 };

// tallied counts backends by state.
export function tallied(backends) {
	const counts = Object.fromEntries(states.map((state) => [state, 0]));
	for (const backend of backends) counts[backend.state]++;
	return counts;
}

const most = 30; // strokes; more backends share a bar

// Tally draws a stroke for each backend of a service, in the colour of its state.
// Words beside it say the same.
export class Tally {
	constructor() {
		this.paths = states.map((state) => draw('path', { class: 'tally-stroke', 'data-state': state, d: '' }));
		this.element = draw('svg', { class: 'tally', height: 16, 'aria-hidden': 'true', focusable: 'false' }, ...this.paths);
	}

	update(counts) {
		const total = states.reduce((sum, state) => sum + counts[state], 0);
		const step = total <= most ? 6 : (most * 6) / total;
		const wide = total <= most ? 3 : step;
		let x = 0;
		states.forEach((state, i) => {
			let d = '';
			if (total <= most) {
				for (let n = 0; n < counts[state]; n++, x += step) d += `M${x} 1h${wide}v14h-${wide}z`;
			} else if (counts[state] > 0) {
				// One among thousands is still to be seen.
				const w = Math.max(2, counts[state] * wide);
				d = `M${x} 1h${w}v14h-${w}z`;
				x += w;
			}
			mark(this.paths[i], 'd', d);
		});
		mark(this.element, 'width', String(Math.ceil(x)));
	}
}
