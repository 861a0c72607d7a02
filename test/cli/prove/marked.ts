/** The processes whose environment has a text, such as the folder of a test. */
import { readdirSync, readFileSync } from 'node:fs';

export const marked = (text: string): readonly string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return (
        Number(pid) !== process.pid && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(text)
      );
    } catch {
      return false; // It has ended.
    }
  });
