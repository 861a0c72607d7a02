/** Results of `--keep`, which `npm run bench -- charts` draws without measuring again. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('results/', import.meta.url);

interface Bar {
  readonly label: string;
  readonly value: number;
}

/** Bars that are drawn together. */
export interface Group {
  readonly title: string;
  readonly bars: readonly Bar[];
}

export function keep(chart: string, group: Group): void {
  mkdirSync(folder, { recursive: true });
  const name = `${chart}--${group.title.replaceAll(/[^\w.]+/g, '-')}.json`;
  writeFileSync(new URL(name, folder), `${JSON.stringify(group, undefined, 2)}\n`);
}

/** In the order of their titles. */
export function kept(chart: string): Group[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${chart}--`))
    .toSorted()
    .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Group);
}
