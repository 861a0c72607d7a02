/** The pages as tests read them: the code blocks below a heading, and the commands in them. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

export interface Block {
  language: string;
  text: string;
}

/** The code blocks of a page below one heading (without its `#`), in order. The heading must be there. */
export function blocksOf(page: string, heading: string): Block[] {
  const lines = readFileSync(join(root, page), 'utf8').split('\n');
  const from = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  if (from === -1) throw new Error(`${page} has no heading "${heading}"`);
  const level = /^#+/.exec(String(lines[from]))?.[0].length ?? 0;
  const blocks: Block[] = [];
  let open: Block | undefined;
  for (const line of lines.slice(from + 1)) {
    const fence = /^\s*```(\w*)/.exec(line);
    if (fence !== null && open === undefined) open = { language: fence[1] ?? '', text: '' };
    else if (fence !== null) {
      blocks.push(open as Block);
      open = undefined;
    } else if (open !== undefined) open.text += `${line}\n`;
    else if ((/^#+(?= )/.exec(line)?.[0].length ?? Infinity) <= level) break;
  }
  return blocks;
}

/**
 * The commands of a block with what they print. In a `console` block a command follows the prompt `$`, and the lines up
 * to the next prompt are its output. In any other block each line is a command. A line that ends in `\` continues.
 */
export function commandsOf({ language, text }: Block): Array<{ command: string; prints?: string }> {
  const joined = text.replaceAll(/\\\n\s*/g, '');
  if (language === 'console')
    return joined
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [command = '', ...prints] = part.trimEnd().split('\n');
        return { command, prints: prints.join('\n') };
      });
  return joined
    .split('\n')
    .map((line) => ({ command: line.replace(/(?:^|\s+)# .*$/, '').trim() }))
    .filter(({ command }) => command !== '');
}

/** The name that the first line of a block gives its file: `// server.js`. */
export function nameOf({ language, text }: Block): string {
  if (language === 'json' && text.includes('"compilerOptions"')) return 'tsconfig.json'; // JSON takes no comment
  const name = /^(?:\/\/|#) (\S+\.\w+)\n/.exec(text)?.[1];
  if (name === undefined)
    throw new Error(`this block does not name its file in its first line:\n${text}`);
  return name;
}
