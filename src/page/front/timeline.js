// Times as pictures: an axis, and a bar from start to end for one request. Each stands in a cell of a table whose
// other cells say the same in words, so the pictures are hidden from screen readers. Places are in percent: nothing
// is measured.

import { html } from './vendor/preact-htm.js';
import { DAY, HOUR, MINUTE, clockTime, dayOf, instant } from './clock.js';
import { state, times, toneOf } from './request.js';

/** @typedef {{ from: number, to: number, at: number }} Range from when to when, and the present */

const STEPS = [5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY];
const MOST_TICKS = 7;
/** A bar is at least so wide, in percent, so that short access shows. */
const LEAST = 0.6;
/** How much of a range lies behind the present. */
const BEHIND = 1 / 3;

/** The range around the present. @param {number} at @param {number} length @returns {Range} */
export function rangeAround(at, length) {
  return { from: at - length * BEHIND, to: at + length * (1 - BEHIND), at };
}

/** @param {Range} range @param {number} at */
function place(range, at) {
  return ((at - range.from) / (range.to - range.from)) * 100;
}

/** The ticks of an axis, at whole hours or days of the local time. @param {Range} range */
export function ticks(range) {
  const length = range.to - range.from;
  const step = STEPS.find((each) => length / each <= MOST_TICKS) ?? 14 * DAY;
  const offset = new Date(range.at).getTimezoneOffset() * MINUTE;
  const first = Math.ceil((range.from - offset) / step) * step + offset;
  const all = [];
  for (let at = first; at < range.to; at += step) all.push(at);
  return { all, days: step >= DAY };
}

/** @param {{ range: Range }} props */
export function Axis({ range }) {
  const { all, days } = ticks(range);
  return html`<svg class="axis" aria-hidden="true" focusable="false">
    ${all.map((at) => html`<text key=${at} x=${`${place(range, at)}%`} y="17">
      ${days ? dayOf(at) : clockTime(at, at)}</text>`)}
  </svg>`;
}

/** @param {{ request: import('./request.js').Request, range: Range }} props */
export function Bar({ request, range }) {
  const { begins, ends } = times(request);
  const open = Number.isNaN(ends);
  const word = state(request);
  const begin = Math.max(0, place(range, begins));
  const end = open ? Math.max(begin, place(range, range.at)) + 4 : Math.min(100, place(range, ends));
  const width = Math.max(LEAST, end - begin);
  const outside = begin > 100 || end < 0;
  return html`<svg class="bar" aria-hidden="true" focusable="false">
    ${ticks(range).all.map((at) => html`<line key=${at} class="tick" x1=${`${place(range, at)}%`}
      x2=${`${place(range, at)}%`} y1="0" y2="100%" />`)}
    ${!outside && html`<rect class=${`${toneOf(word)} ${word.toLowerCase()} ${open ? 'open' : ''}`} x=${`${begin}%`}
      width=${`${width}%`} rx="2" />`}
    ${moves(request, range)}
    <line class="present" x1=${`${place(range, range.at)}%`} x2=${`${place(range, range.at)}%`} y1="0" y2="100%" />
  </svg>`;
}

/**
 * Where the end was before it was moved, and where access will be taken away for a while.
 * @param {import('./request.js').Request} request
 * @param {Range} range
 */
function moves(request, range) {
  const before = (request.status?.extensions ?? []).map((extension) => instant(extension.from));
  const freeze = instant(request.status?.freezeAhead?.opensAt);
  const marks = Number.isNaN(freeze) ? before : [...before, freeze];
  return marks.map(
    (at) =>
      html`<line key=${at} class=${at === freeze ? 'freeze' : 'moved'} x1=${`${place(range, at)}%`}
        x2=${`${place(range, at)}%`} y1="20%" y2="80%" />`,
  );
}
