// ---- wording: the same as in the rest of the page, which Python wrote

const DASH = "\u2013", NBSP = "\u00a0";

// Digits after the point, ties to even as in Python; toFixed is exact but rounds ties up.
function fixed(value, digits) {
  const rounded = value.toFixed(digits), exact = value.toFixed(Math.min(100, digits + 60));
  const cut = exact.length - Math.min(100 - digits, 60);
  const half = /^50*$/.test(exact.slice(cut)), kept = exact.slice(0, cut).replace(/\.$/, "");
  return half && Number(kept.at(-1)) % 2 === 0 ? kept : rounded;
}

const grouped = (text) => {
  const [whole, ...rest] = text.split(".");
  return [whole.replace(/\B(?=(\d{3})+(?!\d))/g, ","), ...rest].join(".");
};

// Significant digits as Python's g: no trailing zeros, an exponent below 1e-4.
function significant(value, digits) {
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  const bare = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (exponent >= -4) return bare(fixed(value, Math.max(0, digits - 1 - exponent)));
  const mantissa = value.toExponential(digits - 1).split("e")[0];
  return `${bare(mantissa)}e-${String(-exponent).padStart(2, "0")}`;
}

function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return `${significant(value, 2)}${NBSP}%`;
  if (value > 99.9 && value < 100) return `${fixed(Math.floor(value * 100) / 100, 2)}${NBSP}%`;
  return `${fixed(value, 1)}${NBSP}%`;
}

function number(value) {
  if (Math.abs(value) >= 100) return grouped(fixed(value, 0));
  return value ? significant(value, 3) : "0";
}

const print = { share: percent, rate: number, count: (value) => grouped(fixed(value, 0)) };
