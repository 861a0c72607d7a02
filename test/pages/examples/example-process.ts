/** An example as its reader starts it: `npx tsx examples/…`, on a free port. */
import { fileURLToPath } from 'node:url';
import { startNode } from '../../kit/child-process.ts';

/** Lines of `info` with their fields: about clients, sessions and instances that come and go. */
const NOTICES =
  /^sojourn: (?:A (?:client connected|session ended|session continues here)|This instance (?:joined the deployment|drains: .*?|has drained))(?: \{.*\})?\n/gm;

const root = fileURLToPath(new URL('../../..', import.meta.url));

interface ExampleOptions {
  env?: Record<string, string>;
  /** Flags of Node. */
  flags?: string[];
}

export function startExample(file: string, { env = {}, flags = [] }: ExampleOptions = {}) {
  const { child, output, closed, says, stop } = startNode(
    [...flags, '--import', 'tsx', `examples/${file}`],
    {
      cwd: root,
      env: { ...process.env, PORT: '0', ...env },
    },
  );
  return {
    pid: child.pid,
    output,
    /** What it wrote to stderr besides those lines of `info`. */
    complaints: () => output.stderr.replace(NOTICES, ''),
    /** Where it serves, once it has printed that. */
    url: () => says(/^(http:\S+)$/m),
    /** Resolves with its exit code. What it left open would keep it from ending. */
    stop,
    ended: async (): Promise<number | null> => (await closed)[0],
  };
}
