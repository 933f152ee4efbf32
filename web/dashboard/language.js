/** The page's words, in the first of the browser's languages that there is a file of. */

/** By key: a text, or what makes one of the values of its gaps. @typedef {Record<string, string | ((gaps: any) => string)>} Words */

const LANGUAGES = ["en", "ko"];

/** @type {string} */
export const language =
  navigator.languages.map((tag) => tag.split("-")[0].toLowerCase()).find((tag) => LANGUAGES.includes(tag)) ?? "en";

const { default: words } = await import(`./languages/${language}.js`);

document.documentElement.lang = language;

const numbers = new Intl.NumberFormat(language);
const decimals = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const clocks = new Intl.DateTimeFormat(language, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const dates = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hour12: false });

/**
 * @param {string} key  of languages/en.js
 * @param {Record<string, any>} [values]  of its gaps
 * @returns {string}
 */
export function t(key, values = {}) {
  const said = words[key];
  return typeof said === "function" ? said(values) : said;
}

/** @param {number} value */
export const count = (value) => numbers.format(value);

/** @param {number} value */
export const decimal = (value) => decimals.format(value);

/** @param {number} time  Unix milliseconds @returns {string} the time of the day */
export const clockTime = (time) => clocks.format(time);

/** @param {number} time  Unix milliseconds @returns {string} date and time */
export const dateTime = (time) => dates.format(time);
