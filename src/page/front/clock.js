// The time: the server's, so that an end is shown when it comes; beats for what counts down; and times and lengths as
// people read them. It must not know what the times are of.

import { useEffect, useRef, useState } from './vendor/preact-htm.js';
import { words } from './words.js';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** The Date header has whole seconds, so a smaller difference says nothing. */
const LEAST_SKEW = 2 * SECOND;

let skew = 0;

/**
 * Learns how far this machine's clock is off.
 * @param {string | null} date the Date header of an answer just received
 */
export function setClock(date) {
  const said = date ? Date.parse(date) : NaN;
  if (Number.isNaN(said)) return;
  const off = said + SECOND / 2 - Date.now();
  skew = Math.abs(off) > LEAST_SKEW ? off : 0;
}

/** Milliseconds since 1970, by the server's clock. */
export function now() {
  return Date.now() + skew;
}

/** @type {Map<number, { stop: () => void, told: Set<(at: number) => void> }>} */
const beats = new Map();

/** @param {number} step @param {(at: number) => void} tell */
function listen(step, tell) {
  const beat = beats.get(step) ?? start(step);
  beat.told.add(tell);
  return () => {
    beat.told.delete(tell);
    if (beat.told.size) return;
    beat.stop();
    beats.delete(step);
  };
}

/** @param {number} step */
function start(step) {
  /** @type {Set<(at: number) => void>} */
  const told = new Set();
  let timer = 0;
  const next = () => {
    const at = now();
    timer = setTimeout(
      () => {
        for (const tell of [...told]) tell(now());
        next();
      },
      step - (at % step) + 5,
    );
  };
  next();
  const beat = { stop: () => clearTimeout(timer), told };
  beats.set(step, beat);
  return beat;
}

/** The time, anew with every step. @param {number} step in milliseconds */
export function useNow(step) {
  const [at, tell] = useState(now());
  useEffect(() => listen(step, tell), [step]);
  return at;
}

/**
 * What is told of the present, anew when another thing is to be told: of a thousand times on a page few change at once.
 * @param {number} step in milliseconds
 * @param {(at: number) => string} tell
 */
export function useTold(step, tell) {
  const [, set] = useState(() => tell(now()));
  const latest = useRef(tell);
  latest.current = tell;
  useEffect(() => listen(step, (at) => set(latest.current(at))), [step]);
  return tell(now());
}

/** A time of the API in milliseconds, or NaN. @param {string | null | undefined} text */
export function instant(text) {
  return text ? Date.parse(text) : NaN;
}

const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const timeAndSecond = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short' });
const dayAndYear = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

/** A time as people read it: without the day when that is today. @param {number} at @param {number} today */
export function clockTime(at, today) {
  const date = new Date(at);
  const near = new Date(today);
  if (date.toDateString() === near.toDateString()) return time.format(date);
  const name = date.getFullYear() === near.getFullYear() ? day.format(date) : dayAndYear.format(date);
  return `${name}, ${time.format(date)}`;
}

/** The same to the second and with the day. @param {number} at */
export function exactTime(at) {
  const date = new Date(at);
  return `${dayAndYear.format(date)}, ${timeAndSecond.format(date)}`;
}

/** The same in the reader's zone and in UTC. @param {number} at */
export function bothTimes(at) {
  return words.time.utc(exactTime(at), new Date(at).toISOString().slice(0, 19).replace('T', ' '));
}

/** The day of a time. @param {number} at */
export function dayOf(at) {
  return day.format(new Date(at));
}

/** How long, in its two largest units. @param {number} length in milliseconds */
export function span(length) {
  const seconds = Math.max(0, Math.round(length / SECOND));
  const [d, h, m, s] = [
    Math.floor(seconds / 86400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  if (d) return h ? `${words.unit.days(d)} ${words.unit.hours(h)}` : words.unit.days(d);
  if (h) return m ? `${words.unit.hours(h)} ${words.unit.minutes(m)}` : words.unit.hours(h);
  if (m) return m < 5 && s ? `${words.unit.minutes(m)} ${words.unit.seconds(s)}` : words.unit.minutes(m);
  return words.unit.seconds(s);
}

/** A length as the API writes it, in milliseconds, or NaN. @param {string | undefined} text such as 1h30m */
export function parseLength(text) {
  const units = { h: HOUR, m: MINUTE, s: SECOND, ms: 1 };
  if (!text || !/^([0-9]{1,5}(h|ms|m|s)){1,4}$/.test(text)) return NaN;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) {
    sum += Number(number) * units[/** @type {keyof typeof units} */ (unit)];
  }
  return sum;
}
