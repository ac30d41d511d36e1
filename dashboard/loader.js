// A browser on the engine's own machine gives up on a file if the machine's network
// changes in that moment, which is what starting a container does. A page that lacks
// a part is loaded anew; this script comes before all of them.
document.addEventListener('error', (event) => {
	if (event.target.matches('script, link')) setTimeout(() => location.reload(), 1000);
}, true);
