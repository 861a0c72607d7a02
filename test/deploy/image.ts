/** A Dockerfile as far as it can be carried out without an engine: what its last stage is started with. */
import { recipe } from './recipe-files.ts';

export interface Image {
  readonly env: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly port: number;
  readonly stopSignal: string;
  /** Program and arguments. */
  readonly healthcheck: readonly string[];
  readonly command: readonly string[];
  /** What the build takes from the context. */
  readonly copied: readonly string[];
}

export function imageOf(path: string): Image {
  const lines = recipe(path)
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const all = (name: string): string[] =>
    lines.flatMap((line) => (line.startsWith(`${name} `) ? [line.slice(name.length + 1)] : []));
  const last = (name: string): string => all(name).at(-1) ?? '';
  // The exec form is JSON; what is no JSON would be run by a shell, which keeps signals to itself.
  const exec = (text: string): string[] => JSON.parse(text) as string[];
  return {
    env: Object.fromEntries(
      all('ENV').flatMap((line) => line.split(' ').map((pair) => pair.split('=') as [string, string])),
    ),
    user: last('USER') || undefined,
    port: Number(last('EXPOSE')),
    stopSignal: last('STOPSIGNAL'),
    healthcheck: exec(last('HEALTHCHECK').replace(/^.*?CMD /, '')),
    command: [...exec(last('ENTRYPOINT')), ...exec(last('CMD'))],
    copied: all('COPY').flatMap((line) => (line.startsWith('--from') ? [] : line.split(' ').slice(0, -1))),
  };
}
