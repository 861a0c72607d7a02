/** An example as its reader starts it: `npx tsx examples/…`, on a free port. */
import { fileURLToPath } from 'node:url';
import { startNode } from '../kit/child-process.ts';
import { until } from '../kit/until.ts';

/** Lines of `info` with their fields: about clients, sessions and instances that come and go. */
const NOTICES =
  /^sojourn: (?:A (?:client connected|session ended|session continues here)|This instance (?:joined the deployment|drains: .*?|has drained))(?: \{.*\})?\n/gm;

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface ExampleProcess {
  readonly output: { stdout: string; stderr: string };
  /** What it wrote to stderr besides those lines of `info`. */
  complaints(): string;
  /** Resolves when it has printed where it serves. */
  url(): Promise<string>;
  /** SIGTERM; resolves with its exit code. What it left open would keep it from ending. */
  stop(): Promise<number | null>;
  ended(): Promise<number | null>;
}

export interface ExampleOptions {
  env?: Record<string, string>;
  /** Flags of Node. */
  flags?: string[];
}

export function startExample(file: string, { env = {}, flags = [] }: ExampleOptions = {}): ExampleProcess {
  const { child, output, closed } = startNode([...flags, '--import', 'tsx', `examples/${file}`], {
    cwd: root,
    env: { ...process.env, PORT: '0', ...env },
  });
  const ended = async (): Promise<number | null> => (await closed)[0];
  return {
    output,
    complaints: () => output.stderr.replace(NOTICES, ''),
    ended,
    stop: () => {
      child.kill('SIGTERM');
      return ended();
    },
    async url() {
      const told = () => /^http:\S+$/m.exec(output.stdout)?.[0];
      await until(() => told() !== undefined || child.exitCode !== null, { timeoutMs: 20_000, what: 'its URL' });
      const url = told();
      if (url === undefined) throw new Error(`${file} ended with ${child.exitCode}: ${output.stderr}`);
      return url;
    },
  };
}
