// The page: what rollcall has in its registry, live.
//
// feed.js gets everything; each of the others shows one thing, and redraws what has
// changed of it. Nothing is kept but in memory, and nothing is asked of anybody but
// of the rollcall that served the page.
import { Announcer } from './announcer.js';
import { Connection } from './connection.js';
import { Containers } from './containers.js';
import { DrainDialog } from './drain.js';
import { Engine } from './engine.js';
import { Events } from './events.js';
import { Feed } from './feed.js';
import { Services } from './services.js';
import { Traffic } from './traffic.js';
import { Why } from './why.js';

let latest = []; // the services of the last snapshot
let drawing = false;

const announcer = new Announcer();
const connection = new Connection();
const engine = new Engine();
const traffic = new Traffic();
const why = new Why();
const ask = (target) => why.askFor(target);
const drain = new DrainDialog(() => latest, (backend, verb) => {
	announcer.tell(`${backend.container} ${verb === 'drain' ? 'is being drained' : 'is put back'}.`);
});
const services = new Services(traffic, { drain: (backend) => drain.open(backend), why: ask });
const events = new Events();
const containers = new Containers(ask);

// timed lets an observer (the developer tools, a test) see how long an update takes,
// and keeps nothing.
function timed(name, update) {
	const start = performance.now();
	update();
	performance.measure(name, { start });
	performance.clearMeasures(name);
}

// Many snapshots may come between two frames; only the last one is drawn.
function drawSoon() {
	if (drawing) return;
	drawing = true;
	requestAnimationFrame(() => {
		drawing = false;
		timed('snapshot', () => {
			services.update(latest);
			announcer.update(latest);
		});
	});
}

new Feed({
	snapshot(snapshot) {
		latest = snapshot.services;
		drawSoon();
	},
	traffic(answer) {
		timed('traffic', () => {
			traffic.record(answer);
			services.measure();
		});
	},
	engine: (answer) => engine.update(answer),
	events: (answer) => events.update(answer),
	containers: (answer) => containers.update(answer),
	connection(problem) {
		connection.update(problem);
		engine.freeze(problem !== null);
	},
}).start();
