// Icons of 24 by 24, drawn with lines: what fonts have of them differs by device.

const SPACE = "http://www.w3.org/2000/svg";
const MICROPHONE = "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21";
const CAMERA = "M3 7.5A1.5 1.5 0 0 1 4.5 6h9A1.5 1.5 0 0 1 15 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16.5zM15 11l6-3.5v9L15 13";
const STROKE = "M3.5 3.5l17 17";

const PATHS = {
  "microphone": MICROPHONE,
  "microphone-off": MICROPHONE + STROKE,
  "camera": CAMERA,
  "camera-off": CAMERA + STROKE,
  "hand": "M8 12V5.5a1.5 1.5 0 0 1 3 0V11V4a1.5 1.5 0 0 1 3 0v7V5.5a1.5 1.5 0 0 1 3 0V14a7 7 0 0 1-7 7c-3 0-4.5-1.5-6.5-5l-1.7-3a1.5 1.5 0 0 1 2.5-1.6L8 14",
  "crown": "M4 18h16M4 15l-1-8 5 4 4-6 4 6 5-4-1 8z",
  "lock": "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  "settings": "M4 7h9M17 7h3M4 17h3M11 17h9M13 5v4M7 15v4",
  "leave": "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  "seat": "M7 12V6a2 2 0 0 1 2-2h6a2 2 0 0 1 2 2v6M5 12h14v5H5zM7 17v3M17 17v3",
  "share": "M4 12v7h16v-7M12 15V4M8 8l4-4 4 4",
  "sound": "M4 10v4h3l5 4V6l-5 4zM16 9a4 4 0 0 1 0 6",
  "more": "M5 12h.01M12 12h.01M19 12h.01",
};

/** An icon for eyes only: whoever shows it says in words what it means. */
export function icon(name) {
  const svg = document.createElementNS(SPACE, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SPACE, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
