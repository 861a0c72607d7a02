/**
 * `node scripts/cast-to-svg.mjs demo.cast docs/images/demo.svg`: draws an asciicast of `sojourn demo --cast` as an SVG that
 * plays by itself. It knows the codes that the demo writes: positions, colours, and the erasing of a line or the screen.
 *
 * The frames lie side by side in one strip, which moves in steps. A row that several frames have is drawn once.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const CELL = { width: 8.4, height: 18 };
const MARGIN = 16;
/** Seconds: between two frames, of the last one, and the longest that a frame stays. */
const TIMES = { step: 0.5, last: 4, longest: 2 };
const CLASSES = { 1: 'b', 2: 'd', 94: 'm', 93: 'w', 91: 'r' };

const STYLE = `text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#e7eaef;white-space:pre}
.b{font-weight:700}.d{fill:#909aa8}.m{fill:#68acf5}.w{fill:#efb45e}.r{fill:#ff8f7d}`;

const ESCAPE = '\u001b[';
/** What follows ESCAPE. */
const CODE = /(\??)([\d;]*)([A-Za-z])/y;

/** A screen: rows of spans `{ column, text, style }`. */
class Terminal {
  rows = [];
  #row = 0;
  #column = 0;
  #style = '';

  write(text) {
    for (let at = 0; at < text.length;) {
      CODE.lastIndex = at + ESCAPE.length;
      const code = text.startsWith(ESCAPE, at) ? CODE.exec(text) : null;
      if (code !== null) {
        at = CODE.lastIndex;
        if (code[1] === '') this.#obey(code[3], code[2]);
        continue;
      }
      const next = text.indexOf(ESCAPE, at);
      const end = next === -1 ? text.length : next;
      const part = text.slice(at, end);
      (this.rows[this.#row] ??= []).push({ column: this.#column, text: part, style: this.#style });
      this.#column += part.length;
      at = end;
    }
  }

  #obey(name, values) {
    if (name === 'J') this.rows = [];
    else if (name === 'm') this.#style = CLASSES[values] ?? '';
    else if (name === 'H') {
      const [row, column] = values.split(';').map(Number);
      [this.#row, this.#column] = [row - 1, column - 1];
      // The demo writes a line whole.
      this.rows[this.#row] = [];
    } else if (name !== 'K') throw new Error(`the code ${name} is not known`);
  }
}

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const rounded = (value) => String(Math.round(value * 10) / 10);

function drawn(spans) {
  return spans
    .map(({ column, text, style }) => {
      const begin = text.length - text.trimStart().length;
      const shown = text.trim();
      if (shown === '') return '';
      const x = rounded((column + begin) * CELL.width);
      // A font of another width must not move the columns.
      const fixed = shown.length > 3 ? ` textLength="${rounded(shown.length * CELL.width)}"` : '';
      const named = style === '' ? '' : ` class="${style}"`;
      return `<tspan x="${x}"${fixed}${named}>${escaped(shown)}</tspan>`;
    })
    .join('');
}

/** `[seconds, rows]` of each frame, from the events of the cast. The end of the alternate screen is the end. */
function framesOf(events) {
  const terminal = new Terminal();
  const frames = [];
  let due = 0;
  for (const [n, [seconds, , text]] of events.entries()) {
    if (text.includes('\u001b[?1049l')) break;
    terminal.write(text);
    const following = events[n + 1]?.[0] ?? Infinity;
    // A picture that stays is shown at once, and others at most once in a step.
    if (seconds < due && following - seconds < TIMES.step) continue;
    due = seconds + TIMES.step;
    frames.push([seconds, terminal.rows.map((row) => drawn(row ?? []))]);
  }
  return frames;
}

/** The SVG of an asciicast, as text. */
export function svgOf(cast) {
  const [head, ...events] = cast
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const frames = framesOf(events);
  const width = Math.round(head.width * CELL.width + 2 * MARGIN);
  const height = head.height * CELL.height + 2 * MARGIN;
  const rows = new Map();
  const strip = frames.map(([, lines], n) => {
    const uses = lines.flatMap((line, row) => {
      if (line === '') return [];
      if (!rows.has(line)) rows.set(line, rows.size.toString(36));
      return [`<use href="#${rows.get(line)}" y="${(row + 1) * CELL.height - 5}"/>`];
    });
    return `<g transform="translate(${n * width})">${uses.join('')}</g>`;
  });
  let total = 0;
  const starts = frames.map(([seconds], n) => {
    const start = total;
    const next = frames[n + 1]?.[0];
    total += next === undefined ? TIMES.last : Math.min(next - seconds, TIMES.longest);
    return start;
  });
  const steps = starts.map(
    (start, n) => `${Math.round((start / total) * 1e5) / 1e3}%{transform:translate(${-n * width}px)}`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="A recording of sojourn demo">
<style>${STYLE}
#strip{animation:strip ${rounded(total)}s step-end infinite}
@keyframes strip{${steps.join('')}}
@media (prefers-reduced-motion){#strip{animation-play-state:paused;animation-delay:-${rounded(total / 2)}s}}</style>
<rect width="${width}" height="${height}" rx="12" fill="#0f1217"/>
<defs>${[...rows].map(([line, id]) => `<text id="${id}">${line}</text>`).join('\n')}</defs>
<svg x="${MARGIN}" y="${MARGIN}" width="${width - 2 * MARGIN}" height="${height - 2 * MARGIN}"><g id="strip">${strip.join('\n')}</g></svg>
</svg>
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [from, to] = process.argv.slice(2);
  if (from === undefined || to === undefined) {
    console.error(`node scripts/${basename(process.argv[1])} <cast> <svg>`);
    process.exitCode = 2;
  } else writeFileSync(to, svgOf(readFileSync(from, 'utf8')));
}
