// Elements are made and changed here only, and texts only as text nodes: a name or
// a label of a container can never become markup. The page's policy (trusted types)
// lets the browser refuse everything else.

// make makes an element with attributes and children; strings become text.
export function make(tag, attributes = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (value !== undefined) element.setAttribute(name, value);
	}
	element.append(...children);
	return element;
}

// draw makes an SVG element.
export function draw(tag, attributes = {}, ...children) {
	const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
	element.append(...children);
	return element;
}

// Most of what is shown is as it was before: only a difference touches the page.

// say sets the text of an element that holds nothing but text.
export function say(element, text) {
	const node = element.firstChild;
	if (!node) {
		if (text !== '') element.append(text);
	} else if (node.data !== text) {
		node.data = text;
	}
}

// mark sets an attribute.
export function mark(element, name, value) {
	if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// show shows or hides an element.
export function show(element, visible) {
	if (element.hidden === visible) element.hidden = !visible;
}

// arrange brings a parent's children into an order, moving as few as it can, and
// keeps the focus. Those that are leaving stay where they are.
export function arrange(parent, elements) {
	const focused = document.activeElement;
	let next = staying(parent.firstElementChild);
	for (const element of elements) {
		if (element === next) next = staying(next.nextElementSibling);
		else parent.insertBefore(element, next);
	}
	if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}

function staying(element) {
	while (element?.classList.contains('leaving')) element = element.nextElementSibling;
	return element;
}

const calm = matchMedia('(prefers-reduced-motion: reduce)');

// leave removes an element, after it has faded.
export function leave(element) {
	if (calm.matches || !element.checkVisibility()) {
		element.remove();
		return;
	}
	element.classList.add('leaving');
	element.inert = true;
	setTimeout(() => element.remove(), 250);
}

// arrive lets a new element be noticed.
export function arrive(element) {
	if (calm.matches) return;
	element.classList.add('arriving');
	setTimeout(() => element.classList.remove('arriving'), 1600);
}
