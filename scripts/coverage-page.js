// Runs inside the coverage page (coverage-page.sh puts it there) and writes what
// it found into an element of its own: "probe: ok", or each thing that is wrong.
"use strict";
(() => {
  const wrong = [];
  const check = (what, ok, seen) => { if (!ok) wrong.push(what + (seen === undefined ? "" : " (" + seen + ")")); };
  const one = s => document.querySelector(s), all = s => [...document.querySelectorAll(s)];
  const rows = all(".grid tbody tr"), tip = one("#tip"), box = one(".scroll");
  const cells = rows.map(r => [...r.querySelectorAll("button")]);
  const key = (e, k) => e.dispatchEvent(new KeyboardEvent("keydown", {key: k, bubbles: true, cancelable: true}));

  check("the colour scheme is the one asked for", matchMedia("(prefers-color-scheme: dark)").matches === (location.hash === "#dark"));
  check("nothing is fetched", performance.getEntriesByType("resource").length === 0);
  check("the page itself does not scroll sideways", document.documentElement.scrollWidth <= innerWidth, document.documentElement.scrollWidth + " of " + innerWidth);
  check("there are rows and cells", rows.length > 10 && cells.every(r => r.length === cells[0].length && r.length > 20), rows.length);
  check("every cell says its answer in words", cells.flat().every(b => /: .* (native|jit|none|unknown|not applicable|HOLE)/.test(b.ariaLabel)));

  // Letters, and enough contrast in this colour scheme.
  const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3); };
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
  const contrast = e => { const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
  for (const c of ["native", "jit", "none", "hole", "unknown"]) {
    const e = one(".keys ." + c);
    check(c + " has a letter of its own", e.textContent.length === 1 && all(".keys .mark").filter(k => k.textContent === e.textContent && !k.matches(".splitmark")).length === 1);
    check(c + " can be read", contrast(e) >= 4.5, contrast(e).toFixed(2));
  }
  for (const s of ["body", ".soft", ".grid thead th small", ".grid tbody th", ".grid tbody .cc", ".verdict"]) check(s + " can be read", contrast(one(s)) >= 4.5, contrast(one(s)).toFixed(2));

  const corner = one(".grid thead th").getBoundingClientRect();
  check("the heads leave room for the grid", corner.height < 70 && corner.width > 100 && corner.width < innerWidth * 0.5, corner.width + " x " + corner.height);

  // The heads stay where they are.
  const head = one(".grid thead th:last-child"), side = rows[2].querySelector("th");
  const was = [head.getBoundingClientRect().top, side.getBoundingClientRect().left];
  box.scrollTo(200, 150);
  check("the head row sticks", Math.abs(head.getBoundingClientRect().top - was[0]) < 1.5);
  check("the head column sticks", Math.abs(side.getBoundingClientRect().left - was[1]) < 1.5);
  box.scrollTo(0, 0);

  // The tooltip: pointer, keyboard, Escape; within the window.
  check("no tooltip before anything is pointed at", tip.hidden);
  cells[8][11].dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
  check("pointing shows why", !tip.hidden && /7\.5.*driver branch 535 \(CUDA 12\.2, from 535\.54\.03\)/.test(tip.textContent), tip.textContent);
  one(".grid").dispatchEvent(new MouseEvent("mouseleave"));
  check("pointing elsewhere hides it", tip.hidden);
  check("the Tab key stops once in the grid", cells.flat().filter(b => b.tabIndex === 0).length === 1);
  cells[0][0].focus({preventScroll: true});
  // A window without the focus of its desktop tells nobody: do it in its place.
  if (!document.hasFocus()) cells[0][0].dispatchEvent(new FocusEvent("focusin", {bubbles: true}));
  check("focus shows why", !tip.hidden && tip.textContent.length > 40);
  for (let i = 0; i < 8; i++) key(document.activeElement, "ArrowDown");
  key(document.activeElement, "End");
  const last = cells[8][cells[8].length - 1];
  check("arrows and End walk the grid", document.activeElement === last, document.activeElement.ariaLabel);
  const at = last.getBoundingClientRect(), frame = box.getBoundingClientRect();
  check("the cell walked to is in sight", at.right <= frame.right + 1 && at.left >= side.getBoundingClientRect().right - 1, at.left + "-" + at.right);
  key(document.activeElement, "Home");
  const first = document.activeElement.getBoundingClientRect();
  check("and is not under the head column", document.activeElement === cells[8][0] && first.left >= side.getBoundingClientRect().right - 1, first.left);
  const t = tip.getBoundingClientRect();
  check("the tooltip is within the window", t.left >= 0 && t.right <= innerWidth + 1 && t.top >= 0 && t.bottom <= innerHeight + 1, [t.left, t.right, t.top, t.bottom].map(Math.round).join(" "));
  key(document.activeElement, "Escape");
  check("Escape hides it", tip.hidden);
  document.activeElement.blur();
  scrollTo(0, 0);

  const out = document.createElement("pre");
  out.id = "probe";
  out.hidden = true;
  out.textContent = "probe: " + (wrong.length ? "WRONG: " + wrong.join("; ") : "ok");
  document.body.append(out);
})();
