// How figures are written. null is "not known (yet)".

const unknown = '–';

// Made once: toLocaleString makes one at each call, which takes longer than a row.
const numbers = new Intl.NumberFormat('en');
const clocks = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const moments = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export function count(n) {
	return numbers.format(n);
}

// plural writes "1 backend", "2 backends".
export function plural(n, noun) {
	return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

// rate writes requests per second.
export function rate(perSecond) {
	if (perSecond === null) return unknown;
	if (perSecond === 0) return '0';
	if (perSecond < 10) return perSecond.toFixed(1);
	if (perSecond < 10000) return count(Math.round(perSecond));
	return `${(perSecond / 1000).toFixed(1)}k`;
}

// share writes a part of one as a percentage.
export function share(part) {
	if (part === null) return unknown;
	if (part === 0) return '0 %';
	if (part < 0.001) return '<0.1 %';
	if (part < 0.0995) return `${(part * 100).toFixed(1)} %`;
	return `${Math.round(part * 100)} %`;
}

// latency writes seconds; Infinity is beyond the last bucket, whose bound is given.
export function latency(seconds, last) {
	if (seconds === null) return unknown;
	if (seconds === Infinity) return `>${last} s`;
	if (seconds < 0.001) return '<1 ms';
	if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
	if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
	return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
}

// span writes how long something has been going on.
export function span(seconds) {
	seconds = Math.max(0, seconds);
	if (seconds < 60) return `${Math.floor(seconds)} s`;
	if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
	if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
	return `${Math.floor(seconds / 86400)} days`;
}

// clock writes the time of day.
export function clock(date) {
	return clocks.format(date);
}

// moment writes date and time.
export function moment(date) {
	return moments.format(date);
}

// short is the form of a container ID that the docker command shows.
export function short(id) {
	return id.slice(0, 12);
}
