package e2e

import (
	"slices"
	"testing"
)

// checkLayout checks that nothing is wider than the page.
func checkLayout(p *tab) {
	p.t.Helper()
	wide := ask[[]string](p, `(() => {
		const wide = [];
		if (document.documentElement.scrollWidth > innerWidth) wide.push('the page: ' + document.documentElement.scrollWidth);
		for (const element of document.body.querySelectorAll('*')) {
			if (!element.checkVisibility() || element.closest('.unseen, .skip, thead, svg')) continue;
			const { left, right } = element.getBoundingClientRect();
			if (right > innerWidth + 0.5 || left < -0.5) wide.push(element.tagName + '.' + element.className + ': ' + left + ' to ' + right);
		}
		return wide.slice(0, 5);
	})()`)
	if len(wide) > 0 {
		p.t.Errorf("wider than the page's %d pixels: %q", ask[int](p, "innerWidth"), wide)
	}
}

// checkAccess checks what a machine can check of a page's accessibility: names
// and roles as the browser gives them to a screen reader, landmarks, headings,
// references, contrast and the size of what is clicked.
func checkAccess(p *tab) {
	p.t.Helper()
	roles := map[string]int{}
	for _, node := range p.spoken() {
		role, name := node[0], node[1]
		roles[role]++
		if name == "" && slices.Contains([]string{"button", "link", "textbox", "searchbox", "combobox", "navigation", "main", "search", "article", "dialog", "heading", "columnheader"}, role) {
			p.t.Errorf("a %s has no name", role)
		}
	}
	for role, want := range map[string]int{"banner": 1, "main": 1, "navigation": 1} {
		if roles[role] != want {
			p.t.Errorf("the page has %d of the landmark %s, want %d", roles[role], role, want)
		}
	}
	if problems := ask[[]string](p, accessProblems); len(problems) > 0 {
		p.t.Errorf("%d problems of access: %q", len(problems), problems[:min(len(problems), 8)])
	}
}

// accessProblems is a script that lists problems. Contrast is WCAG 2's, level AA.
const accessProblems = `(() => {
	const problems = [];
	const shown = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest('.unseen, .skip, thead');
	const name = (element) => element.tagName.toLowerCase() + (element.id ? '#' + element.id : '') + '.' + element.getAttribute('class') + ' ' + JSON.stringify(element.textContent.slice(0, 30));

	if (!document.documentElement.lang) problems.push('the page has no language');
	let level = 0;
	for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
		if (!heading.checkVisibility()) continue;
		const now = Number(heading.tagName[1]);
		if (now > level + 1) problems.push('the heading ' + name(heading) + ' skips a level');
		level = now;
	}
	if (document.querySelectorAll('h1').length !== 1) problems.push('there is not one h1');

	const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
	for (const id of ids.filter((id, i) => ids.indexOf(id) !== i)) problems.push('the id ' + id + ' is there twice');
	for (const attribute of ['aria-controls', 'aria-labelledby', 'aria-describedby', 'for']) {
		for (const element of document.querySelectorAll('[' + attribute + ']')) {
			if (!document.getElementById(element.getAttribute(attribute))) problems.push(name(element) + ' names by ' + attribute + ' what is not there');
		}
	}
	if (document.querySelector('[tabindex]:not([tabindex="0"], [tabindex="-1"])')) problems.push('the order of the focus is not that of the page');

	for (const element of document.querySelectorAll('button, input, select')) {
		const { width, height } = element.getBoundingClientRect();
		if (shown(element) && (width < 24 || height < 24)) problems.push(name(element) + ' is ' + width + ' by ' + height);
	}
	for (const table of document.querySelectorAll('[role=table]')) {
		const columns = table.querySelectorAll('[role=columnheader]').length;
		for (const row of table.querySelectorAll('tbody [role=row]')) {
			if (row.querySelectorAll('[role=cell]').length !== columns) problems.push('a row has other columns than its table');
		}
	}

	const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
	const parsed = new Map();
	const parse = (color) => {
		if (!parsed.has(color)) {
			canvas.clearRect(0, 0, 1, 1);
			canvas.fillStyle = color;
			canvas.fillRect(0, 0, 1, 1);
			const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
			parsed.set(color, [r, g, b, a / 255]);
		}
		return parsed.get(color);
	};
	const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
	const behind = (element) => {
		const layers = [];
		for (let e = element; e; e = e.parentElement) layers.unshift(parse(getComputedStyle(e).backgroundColor));
		return layers.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
	};
	const luminance = (color) => {
		const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	for (const element of document.body.querySelectorAll('*')) {
		if (!shown(element) || element.closest('.arriving, svg') || ![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
		const style = getComputedStyle(element);
		const background = behind(element);
		const [a, b] = [luminance(over(parse(style.color), background)), luminance(background)].sort((a, b) => b - a);
		const ratio = (a + 0.05) / (b + 0.05);
		const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
		if (ratio < (large ? 3 : 4.5)) problems.push(name(element) + ' has a contrast of ' + ratio.toFixed(2));
	}
	return problems;
})()`

// checkKeyboard goes through the page with the tab key: the focus is to be seen,
// goes forward only, and reaches everything that can be clicked.
func checkKeyboard(p *tab) {
	p.t.Helper()
	total := ask[int](p, `(() => {
		document.activeElement.blur();
		scrollTo(0, 0);
		globalThis.reached = [];
		return [...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')].filter((e) => e.checkVisibility() && !e.disabled).length;
	})()`)
	for range total {
		p.press("Tab")
		ask[bool](p, `(() => {
			const element = document.activeElement;
			const { outlineStyle, outlineWidth } = getComputedStyle(element);
			const last = reached.at(-1)?.element;
			reached.push({
				element,
				unseen: outlineStyle === 'none' || parseFloat(outlineWidth) < 2,
				backwards: Boolean(last && !(last.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING)),
			});
			return true;
		})()`)
	}
	problems := ask[[]string](p, `(() => {
		const problems = [];
		const name = (element) => element.tagName + '#' + element.id + '.' + element.className;
		for (const { element, unseen, backwards } of reached) {
			if (unseen) problems.push('the focus is not to be seen on ' + name(element));
			if (backwards) problems.push('the focus goes backwards to ' + name(element));
		}
		const different = new Set(reached.map(({ element }) => element)).size;
		if (different !== reached.length) problems.push('only ' + different + ' of ' + reached.length + ' are reached');
		return problems;
	})()`)
	if len(problems) > 0 || total < 10 {
		p.t.Errorf("of %d controls: %q", total, problems)
	}
}

// The checks themselves have to find what is wrong.
func TestAccessChecksFindProblems(t *testing.T) {
	begin(t)
	page := openTab(t, "data:text/html,<p style='color:%23999;background:%23fff'>pale</p><button id=b style='width:9px;height:9px'></button><h4 id=b>deep</h4>", 1440, 900)
	problems := ask[[]string](page, accessProblems)
	if len(problems) < 5 {
		t.Errorf("of a bad page only %q is said", problems)
	}
}
