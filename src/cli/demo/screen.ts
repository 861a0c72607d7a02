/**
 * Writes frames to a terminal: on its alternate screen, without a cursor, and of each frame only the lines that
 * changed. `close` leaves the terminal as it was; an error or an exit of the process does so too.
 */
import { type Ink, type Line, painted } from './styled-text.ts';

const ENTER = '\u001b[?1049h\u001b[?25l\u001b[2J';
const LEAVE = '\u001b[?25h\u001b[?1049l';

export class Screen {
  readonly #write: (text: string) => void;
  readonly #ink: Ink;
  #shown: readonly string[] = [];
  #open = false;

  constructor(write: (text: string) => void, ink: Ink) {
    this.#write = write;
    this.#ink = ink;
  }

  show(lines: readonly Line[]): void {
    let text = '';
    if (!this.#open) {
      this.#open = true;
      process.once('exit', this.#restore);
      text = ENTER;
    }
    const rows = lines.map((line) => painted(line, this.#ink));
    for (const [n, row] of rows.entries()) {
      if (row !== this.#shown[n]) text += `\u001b[${n + 1};1H${row}\u001b[K`;
    }
    this.#shown = rows;
    if (text !== '') this.#write(text);
  }

  /** The next frame is drawn whole: the terminal has another size. */
  forget(): void {
    this.#shown = [];
    if (this.#open) this.#write('\u001b[2J');
  }

  close(): void {
    process.off('exit', this.#restore);
    this.#restore();
  }

  readonly #restore = (): void => {
    if (!this.#open) return;
    this.#open = false;
    this.#write(LEAVE);
  };
}
