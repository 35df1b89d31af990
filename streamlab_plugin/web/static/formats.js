// How numbers read; each format has a twin of the same name in web/formatting.py.

const grouped = (value, digits) => {
  const [whole, rest] = value.toFixed(digits).split(".");
  const groups = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return rest === undefined ? groups : `${groups}.${rest}`;
};

const size = (value) => {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return `${value.toFixed(unit === "B" ? 0 : 1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
};

const duration = (value) => {
  const seconds = Math.trunc(value);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.trunc(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.trunc(seconds / 3600)} h ${Math.trunc((seconds % 3600) / 60)} min`;
};

const two = (number) => String(number).padStart(2, "0");

/** Time of day of an epoch second, local. */
export const clock = (epoch, withSeconds = true) => {
  const at = new Date(epoch * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}${withSeconds ? `:${two(at.getSeconds())}` : ""}`;
};

/** Calendar day of an epoch second, local. */
export const day = (epoch) => {
  const at = new Date(epoch * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
};

export const formats = {
  count: (value) => grouped(value, 0),
  rate: (value) => grouped(value, 1),
  ms: (value) => `${grouped(value, value < 100 ? 1 : 0)} ms`,
  percent: (value) => `${(value * 100).toFixed(value > 0 && value < 0.01 ? 2 : 1)} %`,
  share: (value) => `${(value * 100).toFixed(0)} %`,
  size,
  duration,
  time: (value) => `${day(value)} ${clock(value)}`,
  words: (value) => String(value).replaceAll("_", " "),
  text: (value) => String(value),
};

/** The value at a dotted path, undefined if a step is missing. */
export const lookUp = (document, path) => path.split(".").reduce((value, step) => value?.[step], document);

/** A value as text; a dash stands for none. */
export const show = (value, form) =>
  value === undefined || value === null || value === "" ? "–" : formats[form](value);
