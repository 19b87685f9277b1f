// Shows what waits for the scripts.
document.documentElement.classList.add("ready");
