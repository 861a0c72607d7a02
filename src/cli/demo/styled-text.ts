/** Lines of a terminal as spans of text with a style, and how they are written. */

/** `moved`, `wait` and `bad` are the colours of the dashboard: blue, amber, red. */
export type Style = 'plain' | 'bold' | 'dim' | 'moved' | 'wait' | 'bad';

export interface Span {
  readonly text: string;
  readonly style: Style;
}

export type Line = readonly Span[];

export const span = (text: string, style: Style = 'plain'): Span => ({ text, style });

export const lengthOf = (line: Line): number => line.reduce((sum, { text }) => sum + text.length, 0);

/** Cuts or fills a line. */
export function fit(line: Line, width: number): Line {
  let left = width;
  const cut = line.flatMap(({ text, style }) => {
    const part = text.slice(0, left);
    left -= part.length;
    return part === '' ? [] : [{ text: part, style }];
  });
  return left > 0 ? [...cut, span(' '.repeat(left))] : cut;
}

/** Fills lines of `width` with the words of a text. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

export interface Ink {
  /** `undefined`: NO_COLOR. */
  readonly colours: 'dark' | 'light' | undefined;
  readonly unicode: boolean;
}

/** The colours are of the 16: 12, 11 and 9 on a dark terminal, 4, 3 and 1 on a light one. */
const CODES = {
  dark: { moved: '94', wait: '93', bad: '91' },
  light: { moved: '34', wait: '33', bad: '31' },
};

const ASCII: Readonly<Record<string, string>> = {
  '─': '-',
  '▸': '>',
  '●': '*',
  '×': 'x',
  '·': '.',
  '–': '-',
  '▶': '>',
  '┬': '+',
  '├': '+',
  '└': '+',
  '┼': '+',
  '┐': '+',
  '┘': '+',
  '│': '|',
  '‖': '=',
  '…': '~',
};

export function inkOf(env: NodeJS.ProcessEnv, platform: string): Ink {
  const { NO_COLOR, COLORFGBG, LC_ALL, LC_CTYPE, LANG } = env;
  const background = Number(COLORFGBG?.split(';').at(-1));
  const colours = NO_COLOR !== undefined && NO_COLOR !== '' ? undefined : background === 7 || background === 15;
  return {
    colours: colours === undefined ? undefined : colours ? 'light' : 'dark',
    unicode: platform === 'win32' || platform === 'darwin' || /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || ''),
  };
}

export const plainText = (text: string, { unicode }: Ink): string =>
  unicode ? text : text.replace(/[^ -~]/g, (sign) => ASCII[sign] ?? '?');

/** A line with the codes of its colours. */
export function painted(line: Line, ink: Ink): string {
  const parts = joined(line).map(({ text, style }) => {
    const code = codeOf(style, ink);
    const shown = plainText(text, ink);
    return code === undefined || text.trim() === '' ? shown : `\u001b[${code}m${shown}\u001b[0m`;
  });
  return parts.join('').trimEnd();
}

/** Spans of one style that follow each other are one. */
function joined(line: Line): Line {
  const spans: Span[] = [];
  for (const next of line) {
    const last = spans.at(-1);
    if (last?.style !== next.style) spans.push(next);
    else spans[spans.length - 1] = { text: last.text + next.text, style: next.style };
  }
  return spans;
}

function codeOf(style: Style, { colours }: Ink): string | undefined {
  if (style === 'plain') return undefined;
  if (style === 'bold') return '1';
  if (style === 'dim') return '2';
  return colours === undefined ? undefined : CODES[colours][style];
}
