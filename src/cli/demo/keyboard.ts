/** Keys of a terminal, each at once and without an echo. `close` gives the terminal back. */
import type { ReadStream } from 'node:tty';

export const QUIT_KEYS: readonly string[] = ['q', '\u0003', '\u0004'];

export function readKeys(input: ReadStream, pressed: (key: string) => void): { close(): void } {
  const read = (text: string): void => {
    // The arrows come as one text, and other keys of a paste too.
    if (text.startsWith('\u001b')) return;
    for (const key of text) pressed(key);
  };
  const restore = (): void => void input.setRawMode(false);
  input.setRawMode(true);
  process.once('exit', restore);
  input.setEncoding('utf8').on('data', read).resume();
  return {
    close() {
      process.off('exit', restore);
      input.off('data', read).pause();
      restore();
    },
  };
}
