// The admin API of the rollcall that served this page.

// Refusal is an answer of rollcall's that is no success, in its own words.
export class Refusal extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

// patience is how long an answer may take, in milliseconds. The other side is near,
// and has everything in memory.
const patience = 5000;

async function ask(method, path) {
	const response = await fetch(path, { method, signal: AbortSignal.timeout(patience), headers: { Accept: 'application/json' } });
	const text = await response.text();
	if (!response.ok) throw new Refusal(response.status, problem(text) || `rollcall answers ${response.status}`);
	return JSON.parse(text);
}

export const get = (path) => ask('GET', path);
export const post = (path) => ask('POST', path);

function problem(text) {
	try {
		return JSON.parse(text).error;
	} catch {
		return text.trim().slice(0, 300);
	}
}

// reason says why a question got no answer.
export function reason(error) {
	if (error instanceof Refusal) return error.message;
	if (error.name === 'TimeoutError') return `rollcall did not answer within ${patience / 1000} s`;
	return 'rollcall could not be reached';
}
