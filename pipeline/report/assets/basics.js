// What every script of a page needs.
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const percent = (share) => {
  if (share > 0 && share < 0.001) return "<0.1%";
  const value = Math.round(1e5 * share) / 1e3;
  if (value > 99.9 && value < 100) return ">99.9%";
  return value.toFixed((value > 0 && value < 10) || (value > 99 && value < 100) ? 1 : 0) + "%";
};
const make = (tag, className, ...children) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
};
