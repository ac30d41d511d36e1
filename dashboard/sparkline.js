import { draw, mark } from './element.js';

const width = 96;
const height = 22;
// seconds from its left end to its right: it grows with what is known
const least = 60;
const most = 300;

// Sparkline draws requests per second over the last minutes. The figures beside it
// say the same in words.
export class Sparkline {
	constructor() {
		this.line = draw('path', { class: 'spark-line', d: '' });
		this.area = draw('path', { class: 'spark-area', d: '' });
		this.element = draw('svg', {
			class: 'spark', viewBox: `0 0 ${width} ${height}`, width, height, preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false',
		}, this.area, this.line);
	}

	update(points, now) {
		if (points.length < 2) return;
		const past = Math.min(most, Math.max(least, now - points[0].time));
		const top = Math.max(1, ...points.map((point) => point.rate));
		let line = '';
		let x = 0;
		for (const point of points) {
			const age = now - point.time;
			if (age > past) continue;
			x = ((1 - age / past) * width).toFixed(1);
			const y = (height - 1.5 - (point.rate / top) * (height - 4)).toFixed(1);
			line += `${line ? 'L' : 'M'}${x} ${y}`;
		}
		const start = line.slice(1, line.indexOf(' '));
		mark(this.line, 'd', line);
		mark(this.area, 'd', `${line}L${x} ${height}L${start} ${height}Z`);
	}
}
