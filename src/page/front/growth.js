// Long lists, drawn as far as they are looked at: more when the button at their end comes into sight or is pressed.

import { useEffect, useMemo, useRef, useState } from './vendor/preact-htm.js';

/** Rows drawn at first, and with each step down: more than any screen shows, few enough to draw at once. */
const ROWS = 120;
/** So many pixels before the end comes into sight, more are drawn. */
const AHEAD = '800px';

/** @type {Set<() => void>} */
const lists = new Set();

/** Has all lists drawn to their ends. */
export function growAll() {
  for (const grow of [...lists]) grow();
}

addEventListener('beforeprint', growAll);

/**
 * How many of so many rows are drawn, and the `ref` of the button after them.
 * @param {number} all
 * @returns {[number, (button: Element | null) => void]}
 */
export function useGrowth(all) {
  const [many, set] = useState(ROWS);
  const watched = useRef(/** @type {IntersectionObserver | null} */ (null));
  useEffect(() => {
    const whole = () => set(Infinity);
    lists.add(whole);
    return () => {
      lists.delete(whole);
      watched.current?.disconnect();
    };
  }, []);
  const more = useMemo(
    () => (/** @type {Element | null} */ button) => {
      watched.current?.disconnect();
      if (!button) return;
      const grow = () => set((before) => before + ROWS);
      watched.current = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && grow(), {
        rootMargin: AHEAD,
      });
      watched.current.observe(button);
      if (button instanceof HTMLElement) button.onclick = grow;
    },
    [many],
  );
  return [Math.min(many, all), more];
}
