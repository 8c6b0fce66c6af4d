// Light or dark, before anything is drawn.
"use strict";
try {
  const theme = JSON.parse(localStorage.getItem("ra.theme"));
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {}
