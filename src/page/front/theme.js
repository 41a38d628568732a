// Sets the chosen theme before anything is drawn, so that a dark page does not flash white. A plain script: modules run
// too late for this. It must do nothing else.
(() => {
  try {
    const theme = localStorage.getItem('daypass.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // Storage can be forbidden; then the system's theme is used.
  }
})();
